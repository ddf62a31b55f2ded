// Takes the token of a portal link out of the address, where the browser would keep it, and sends it by the page's form.

const form = document.getElementById("portal");

function take() {
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  if (!token) return;
  history.replaceState(null, "", location.pathname);
  if (!form) return;
  const field = form.elements.token;
  field.value = token;
  form.submit();
  field.value = "";
}

addEventListener("hashchange", take);
take();
