// Fills in the token of a link, as `relevo demo --stay` prints one, and takes it out of the address, where the browser
// would keep it. The button is for the reader to press: a link of somebody else's signs nobody in by itself.

const token = new URLSearchParams(location.hash.slice(1)).get("token");
const field = document.getElementById("token");

if (token && field) {
  history.replaceState(null, "", location.pathname + location.search);
  field.value = token;
}
