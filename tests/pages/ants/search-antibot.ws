{"step": "error", "message": "antibot_token is missing"}
