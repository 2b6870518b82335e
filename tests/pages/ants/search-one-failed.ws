[]
[]
{"step": "end_of_search", "editors_number": 54, "editor_errors_number": 1, "settings": {}}
