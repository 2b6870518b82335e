[]
{"step": "progress", "editor_errors_number": 0}
