"""What is made of web/: types of the API's calls, and the files in api/pages/workspace."""
