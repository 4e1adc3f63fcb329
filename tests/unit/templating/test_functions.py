"""Sprig's and External Secrets' functions. Expected texts are what sprig 3.3 renders."""

from __future__ import annotations

import base64
import datetime as dt

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import pkcs12

from controllers.templating import (
    EXTERNAL_SECRETS,
    SPRIG,
    Chance,
    ExecutionError,
    Template,
    with_chance,
)

SPRIG_ANSWERS = {
    '{{ "hello world" | title }}': "Hello World",
    '{{ trunc 3 "abcdef" }} {{ trunc -2 "abcdef" }}': "abc ef",
    '{{ abbrev 5 "hello world" }}': "he...",
    '{{ "a,b,c" | splitList "," | join "-" }}': "a-b-c",
    '{{ (split "," "a,b")._1 }}': "b",
    '{{ list 3 1 2 | sortAlpha }}': "[1 2 3]",
    '{{ default "d" "" }} {{ coalesce 0 "" "x" }} {{ ternary "y" "n" true }}': "d x y",
    '{{ dict "b" 2 "a" 1 | toJson }}': '{"a":1,"b":2}',
    '{{ "<&>" | toJson }} {{ "<&>" | toRawJson }}': '"\\u003c\\u0026\\u003e" "<&>"',
    '{{ dict "a" (list 1 2) | toPrettyJson }}': '{\n  "a": [\n    1,\n    2\n  ]\n}',
    '{{ (fromJson "{\\"a\\": 1.0, \\"b\\": 1e21}").b }}': "1e+21",
    '{{ fromJson "nonsense" }}': "<no value>",
    '{{ add 1 "2" 3 }} {{ sub 5 2 }} {{ mul 2 3 }} {{ div 7 2 }} {{ mod -7 2 }} {{ max 1 3 2 }}': "6 3 6 3 -1 3",
    '{{ round 123.5555 3 }} {{ ceil 1.2 }} {{ floor -1.2 }} {{ addf 1.1 2.2 }}': "123.556 2 -2 3.3",
    '{{ until 3 }} {{ untilStep 3 6 2 }} {{ seq 1 3 }}': "[0 1 2] [3 5] 1 2 3",
    '{{ b64enc "hi" }} {{ b64dec "aGk=" }} {{ b64dec "!" }}': "aGk= hi illegal base64 data at input byte 0",
    '{{ sha256sum "x" | trunc 8 }} {{ adler32sum "x" }}': "2d711642 7929977",
    '{{ regexReplaceAll "a(x*)b" "-ab-axxb-" "${1}W" }} {{ regexFind "[a-z]+" "1ab2" }}': "-W-xxW- ab",
    '{{ regexMatch "^a" "abc" }} {{ regexSplit "z" "pizza" -1 }} {{ regexFindAll "[2,4]" "1234" -1 }}':
        "true [pi  a] [2 4]",
    '{{ base "a/b.c" }} {{ dir "a/b.c" }} {{ ext "a/b.c" }} {{ clean "a//b/.." }}': "b.c a .c a",
    '{{ indent 2 "a\\nb" }}|{{ nindent 1 "x" }}': "  a\n  b|\n x",
    '{{ quote "a" nil 1 }} {{ squote "a" }}': "\"a\" \"1\" 'a'",
    '{{ first (list 1 2) }} {{ last (list 1 2) }} {{ rest (list 1 2) }} {{ initial (list 1 2) }}': "1 2 [2] [1]",
    '{{ has 2 (list 1 2) }} {{ without (list 1 2) 1 }} {{ uniq (list 1 1 2) }} {{ compact (list 1 0 "") }}':
        "true [2] [1 2] [1]",
    '{{ $d := dict "a" 1 }}{{ $_ := set $d "b" 2 }}{{ keys $d | sortAlpha }} {{ hasKey $d "a" }} {{ get $d "z" }}|':
        "[a b] true |",
    '{{ merge (dict "a" 1) (dict "a" 2 "b" 3) | toJson }}': '{"a":1,"b":3}',
    '{{ dig "a" "b" "no" (dict "a" (dict "b" 1)) }} {{ dig "x" "no" (dict) }}': "1 no",
    '{{ kindOf "a" }} {{ kindIs "map" (dict) }} {{ typeOf 1 }} {{ deepEqual (list 1) (list 1) }}':
        "string true int true",
    '{{ "camel case_here" | camelcase }} {{ "FirstName" | snakecase }} {{ "FirstName" | kebabcase }}':
        "CamelCaseHere first_name first-name",
    '{{ plural "one" "many" 2 }} {{ "abc" | repeat 2 }} {{ nospace "a b" }} {{ initials "First Try" }}':
        "many abcabc ab FT",
    '{{ urlParse "https://u:p@h:1/p?q=1#f" | toJson }}':
        '{"fragment":"f","host":"h:1","hostname":"h","opaque":"","path":"/p","query":"q=1","scheme":"https",'
        '"userinfo":"u:p"}',
    '{{ date "2006-01-02" 0 }} {{ toDate "2006-01-02" "2024-02-29" | date "Jan _2 Mon" }} {{ duration "95" }}':
        "1970-01-01 Feb 29 Thu 1m35s",
    '{{ derivePassword 1 "long" "password" "user" "example.com" }}': "ZedaFaxcZaso9*",
    '{{ atoi "42" }} {{ int64 "12" }} {{ float64 "1.5" }} {{ toString 1.0 }} {{ empty "" }}': "42 12 1.5 1 true",
    '{{ cat "a" nil 1 }} {{ wrap 5 "hello world" }} {{ substr 1 3 "hello" }} {{ swapcase "aB" }}':
        "a 1 hello\nworld el Ab",
}  # fmt: skip


def render(text: str, **data: object) -> str:
    return Template.parse(text, name="t", functions=EXTERNAL_SECRETS).render(data)


@pytest.mark.parametrize("text", SPRIG_ANSWERS)
def test_sprigs_functions_answer_as_sprig_does(text: str) -> None:
    assert render(text) == SPRIG_ANSWERS[text]


def test_the_environment_and_the_network_are_out_of_reach() -> None:
    assert not {"env", "expandenv", "getHostByName"} & set(EXTERNAL_SECRETS)
    assert not {"now", "randAlpha", "uuidv4"} & set(SPRIG)


def test_chance_comes_from_where_it_was_injected() -> None:
    moment = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
    functions = with_chance(SPRIG, Chance(random=lambda count: bytes(count), now=lambda: moment))
    template = Template.parse('{{ randAlpha 3 }} {{ now | date "2006" }} {{ uuidv4 }}', name="t", functions=functions)
    assert template.render({}) == "aaa 2026 00000000-0000-4000-8000-000000000000"
    assert not {"now", "uuidv4", "htpasswd"} & set(functions.deterministic())


@pytest.mark.parametrize(
    "text",
    ['{{ repeat 99999999 "x" }}', "{{ until 99999999 }}", '{{ replace "a" (repeat 3000000 "b") (repeat 3000 "a") }}',
     '{{ indent 99999999 "x" }}', '{{ regexReplaceAll "a" (repeat 30000 "a") (repeat 30000 "b") }}'],
)  # fmt: skip
def test_no_function_builds_more_than_fits(text: str) -> None:
    with pytest.raises(ExecutionError, match="would exceed"):
        render(text)


@pytest.mark.parametrize(
    "text",
    ["{{ .v | mustFromJson }}", "{{ .v | pkcs12key }}", "{{ .v | jwkPublicKeyPem }}",
     "{{ .v | certSANs }}", '{{ .v | filterPEM "X" }}', '{{ fail .v }}', '{{ regexFind .v "(" }}',
     '{{ rsaDecrypt "RSA-OAEP" "SHA256" .v .v }}', '{{ mustToDate "2006" .v }}', "{{ first .v }}"],
)  # fmt: skip
def test_a_failing_function_names_no_value(text: str) -> None:
    with pytest.raises(ExecutionError) as caught:
        render(text, v="(canary")
    assert "canary" not in str(caught.value)


def certificate() -> tuple[str, str]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "leaf")])
    now = dt.datetime(2026, 1, 1)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("a.example")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = built.public_bytes(serialization.Encoding.PEM).decode()
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return pem, key.private_bytes(*form).decode()


def test_a_pkcs12_round_trip_keeps_key_and_certificate() -> None:
    pem, key = certificate()
    packed = render('{{ fullPemToPkcs12Pass .c .k "pw" }}', c=pem, k=key)
    assert render('{{ .p | b64dec | pkcs12certPass "pw" }}', p=packed) == pem
    assert render('{{ .p | b64dec | pkcs12keyPass "pw" }}', p=packed) == key
    with pytest.raises(ExecutionError, match="unable to decode pkcs12"):
        render('{{ .p | b64dec | pkcs12keyPass "no" }}', p=packed)


def test_a_truststore_holds_the_certificates_and_no_key() -> None:
    pem, _ = certificate()
    packed = base64.b64decode(render('{{ pemTruststoreToPKCS12Pass .c "pw" }}', c=pem))
    loaded = pkcs12.load_pkcs12(packed, b"pw")
    assert loaded.key is None
    assert len(loaded.additional_certs) == 1


def test_yaml_goes_both_ways_by_way_of_json() -> None:
    assert render("{{ .y | fromYaml | toYaml }}", y="b: [1, x]\na: {c: 1.5}") == "a:\n  c: 1.5\nb:\n- 1\n- x"
    assert render("{{ (.y | fromYaml).Error }}", y="a: *x") == (
        "error converting YAML to JSON: yaml: unknown anchor 'x' referenced"
    )
