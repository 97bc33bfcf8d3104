"""The lesson: nine steps that explain scan orders, on the page and as one file that needs no server."""
