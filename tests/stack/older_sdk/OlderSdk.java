// What the official Java SDK of 1.x makes of our answers. Prints a word for each; an exception is its stack trace.

import com.svix.Svix;
import com.svix.SvixOptions;
import com.svix.models.ApplicationIn;
import com.svix.models.EndpointIn;
import com.svix.models.EndpointSecretRotateIn;
import java.net.URI;

class OlderSdk {
    public static void main(String[] arguments) throws Exception {
        SvixOptions options = new SvixOptions();
        options.setServerUrl(arguments[0]);
        Svix svix = new Svix(arguments[1], options);

        svix.getApplication().create(new ApplicationIn().name("a customer").uid("customer"));
        svix.getEndpoint().create("customer", new EndpointIn().url(URI.create("http://127.0.0.1:9/")).uid("e"));
        String before = svix.getEndpoint().getSecret("customer", "e").getKey();
        svix.getEndpoint().rotateSecret("customer", "e", new EndpointSecretRotateIn());
        String after = svix.getEndpoint().getSecret("customer", "e").getKey();
        System.out.println(before.equals(after) ? "the same" : "rotated");
    }
}
