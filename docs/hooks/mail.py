#!/usr/bin/env python3
"""Send what a hook of devicelogin is told by mail, the QR code as a picture in it.

    on_code = ["/usr/local/bin/mail.py", "smtp.example.org:25", "box@example.org", "ada@example.org"]
    on_login_needed = ["/usr/local/bin/mail.py", "smtp.example.org:25", "box@example.org", "ada@example.org"]

With port 465 TLS begins at once, with any other one as soon as the server offers it. A server that wants a password takes
the name of a file that holds it as a fourth argument; the user is then the sender.
"""

import os
import smtplib
import sys
from email.message import EmailMessage
from pathlib import Path

fact = {
    name.removeprefix("DEVICELOGIN_"): value for name, value in os.environ.items() if name.startswith("DEVICELOGIN_")
}
server, sender, receiver, *password_file = sys.argv[1:]
host, _, port = server.partition(":")

mail = EmailMessage()
mail["From"], mail["To"] = sender, receiver
mail["Subject"] = f"devicelogin, profile {fact['PROFILE']}: a person must sign in"
text = fact["REASON"] + "\n"
if fact["EVENT"] == "code":
    text += f"\nAddress: {fact['URI']}\nCode:    {fact['CODE']}\nUntil:   {fact['EXPIRES_AT']}\n"
mail.set_content(text)
if "QR_FILE" in fact:
    mail.add_attachment(Path(fact["QR_FILE"]).read_bytes(), maintype="image", subtype="png", filename="code.png")

with (smtplib.SMTP_SSL if port == "465" else smtplib.SMTP)(host, int(port or 25), timeout=30) as smtp:
    if port != "465":
        smtp.ehlo()
        if smtp.has_extn("starttls"):
            smtp.starttls()
    if password_file:
        smtp.login(sender, Path(password_file[0]).read_text().strip())
    smtp.send_message(mail)
