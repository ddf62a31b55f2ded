// Shows the OpenAPI document that the page names.

const place = document.getElementById("document");

SwaggerUIBundle({
  url: place.dataset.url,
  domNode: place,
  deepLinking: true,
  showExtensions: true,
  showCommonExtensions: true,
});
