import java.io.ByteArrayInputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublisher;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse.BodyHandlers;

/** Posts as the JDK's client does by default: with an offer of HTTP/2, a length or chunks, over one connection. */
public class Sender {
    private static final HttpClient CLIENT = HttpClient.newHttpClient();

    public static void main(String[] arguments) throws Exception {
        URI address = URI.create(arguments[0]);
        byte[] chunked = "chunked".getBytes();
        post(address, BodyPublishers.ofString("with a length"));
        post(address, BodyPublishers.ofInputStream(() -> new ByteArrayInputStream(chunked)));
        post(address, BodyPublishers.ofString("with a length"));
    }

    private static void post(URI address, BodyPublisher body) throws Exception {
        var answer = CLIENT.send(HttpRequest.newBuilder(address).POST(body).build(), BodyHandlers.ofString());
        System.out.println(answer.statusCode() + " " + answer.body());
    }
}
