"""A way into a stage: sessions in containers, and through them to the database."""
