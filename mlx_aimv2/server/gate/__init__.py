"""What stands before the routes: who may ask, what a request may bring, what answers carry."""
