# Nothing of it matters here.
