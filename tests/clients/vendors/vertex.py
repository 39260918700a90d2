"""Vertex AI around gemini.py and anthropic.py: its paths, its OAuth token from a service account's signed assertion."""

import base64
import binascii
import json
import time
import urllib.parse

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from . import canon
from .canon import Response
from .shapes import Refused

PROJECT, LOCATION = "fake-project", "us-central1"
ACCOUNT, KEY_ID = "cirque@fake-project.iam.gserviceaccount.com", "0123456789abcdef"
SCOPE = "https://www.googleapis.com/auth/cloud-platform"
LIFETIME = 3599

_key = rsa.generate_private_key(65537, 2048)
_issued = {}


def service_account(token_url):
    """The key file of a service account, as Google's console writes it; a new key in every run."""
    pem = _key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                             serialization.NoEncryption())
    return {"type": "service_account", "project_id": PROJECT, "private_key_id": KEY_ID, "private_key": pem.decode(),
            "client_email": ACCOUNT, "client_id": "1", "auth_uri": "https://accounts.google.com/o/oauth2/auth",
            "token_uri": token_url, "universe_domain": "googleapis.com"}


def unpack(segment):
    return base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))


def token(request, own_url):
    """RFC 7523: a JWT assertion for an access token."""
    form = dict(urllib.parse.parse_qsl(request.raw.decode("latin-1")))
    if request.headers.get("content-type", "").split(";")[0] != "application/x-www-form-urlencoded":
        return denied("the body must be a form")
    if form.get("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer":
        return denied("unsupported grant_type")
    try:
        head, claims, signature = form["assertion"].split(".")
        header, claim = json.loads(unpack(head)), json.loads(unpack(claims))
        _key.public_key().verify(unpack(signature), ("%s.%s" % (head, claims)).encode(), padding.PKCS1v15(),
                                 hashes.SHA256())
    except (KeyError, ValueError, binascii.Error, InvalidSignature) as error:
        return denied("Invalid JWT Signature: %s" % error)
    now = time.time()
    problems = [name for name, bad in {
        "alg": header.get("alg") != "RS256", "typ": header.get("typ", "JWT") != "JWT",
        "kid": header.get("kid", KEY_ID) != KEY_ID, "iss": claim.get("iss") != ACCOUNT,
        "scope": SCOPE not in claim.get("scope", ""), "aud": claim.get("aud") != own_url,
        "iat": abs(claim.get("iat", 0) - now) > 300, "exp": not now < claim.get("exp", 0) <= claim.get("iat", 0) + 3600,
    }.items() if bad]
    if problems:
        return denied("Invalid JWT: check your %s values" % ", ".join(problems))
    made = "ya29.fake-%d" % (len(_issued) + 1)
    _issued[made] = now + LIFETIME
    return Response(body={"access_token": made, "expires_in": LIFETIME, "token_type": "Bearer"},
                    seen=canon.seen("vertex", "token", model="token", claims=claim))


def denied(why):
    return Response(400, {"error": "invalid_grant", "error_description": why})


def authorized(request):
    canon.credentials(request, None, None) if "authorization" not in request.headers else None
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if scheme != "Bearer" or _issued.get(given, 0) < time.time():
        raise Refused("Request had invalid authentication credentials. Expected OAuth 2 access token.", status=401,
                      kind="auth")
    canon.credentials(request, "authorization", request.headers["authorization"])


def split(path):
    """`(publisher, model, method)` of /v1/projects/P/locations/L/publishers/X/models/M:method."""
    parts = path.strip("/").split("/")
    if len(parts) != 9 or parts[0] not in ("v1", "v1beta1") or [parts[1], parts[3], parts[5], parts[7]] != [
            "projects", "locations", "publishers", "models"] or parts[2] != PROJECT or parts[4] != LOCATION:
        raise Refused("not a publisher model path: %s" % path, status=404, kind="model")
    model, colon, method = urllib.parse.unquote(parts[8]).rpartition(":")
    if not colon:
        raise Refused("no method in the path: %s" % path, status=404, kind="model")
    return parts[6], model, method
