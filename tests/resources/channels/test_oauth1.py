"""OAuth 1.0a signing against the examples of RFC 5849."""

import httpx2 as httpx

from resources.channels.oauth1 import OAuth1, base_string, signature


def test_the_base_string_is_that_of_the_rfc():
    params = [
        *(("b5", "=%3D"), ("a3", "a"), ("c@", ""), ("a2", "r b"), ("c2", ""), ("a3", "2 q")),
        ("oauth_consumer_key", "9djdj82h48djs9d2"),
        ("oauth_token", "kkk9d7dh3k39sjv7"),
        ("oauth_signature_method", "HMAC-SHA1"),
        ("oauth_timestamp", "137131201"),
        ("oauth_nonce", "7d8f3e4a"),
    ]
    assert base_string("post", "http://EXAMPLE.COM:80/request?b5=%3D%253D", params) == (
        "POST&http%3A%2F%2Fexample.com%2Frequest&a2%3Dr%2520b%26a3%3D2%2520q%26a3%3Da%26b5%3D%253D%25253D%26c%2540%3D%26c2%3D"
        "%26oauth_consumer_key%3D9djdj82h48djs9d2%26oauth_nonce%3D7d8f3e4a%26oauth_signature_method%3DHMAC-SHA1"
        "%26oauth_timestamp%3D137131201%26oauth_token%3Dkkk9d7dh3k39sjv7"
    )


def test_a_port_that_is_not_the_default_is_signed():
    assert "127.0.0.1%3A8091" in base_string("GET", "http://127.0.0.1:8091/x", [])


def test_the_signature_is_that_of_the_rfc():
    params = [
        ("file", "vacation.jpg"),
        ("size", "original"),
        ("oauth_consumer_key", "dpf43f3p2l4k3l03"),
        ("oauth_token", "nnch734d00sl2jdk"),
        ("oauth_signature_method", "HMAC-SHA1"),
        ("oauth_timestamp", "137131202"),
        ("oauth_nonce", "chapoH"),
    ]
    secrets = ("kd94hf93k423kf44", "pfkkdhi9sl3r4s00")
    assert (
        signature("GET", "http://photos.example.net/photos", params, *secrets, "sha1") == "MdpQcU8iPSUjWoN/UDMsK2sui9I="
    )


def test_a_request_that_is_sent_again_has_a_nonce_of_its_own():
    auth = OAuth1("ck", "cs")
    sent = [next(auth.auth_flow(httpx.Request("GET", "http://shop.test/a?sku=A,B%20C"))).url.params for _ in range(2)]
    assert sent[0]["sku"] == "A,B C"
    assert sent[0]["oauth_nonce"] != sent[1]["oauth_nonce"]
    assert "cs" not in str(sent[0])
