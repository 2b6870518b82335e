[]
{"step": "end_of_search"
