"""The use cases. They call ports only, and neither commit nor roll back."""
