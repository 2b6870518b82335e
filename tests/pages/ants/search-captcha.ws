{"Erreur": "Captcha invalide"}
