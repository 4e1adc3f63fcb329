"""Sprig's keys, certificates, ciphers and versions; and that a template makes only so many of them."""

from __future__ import annotations

import base64
import datetime as dt
import os

import bcrypt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import PolicyBuilder, Store

from controllers.templating import (
    EXTERNAL_SECRETS,
    SPRIG,
    Budget,
    BudgetExceededError,
    Chance,
    ExecutionError,
    Template,
    with_chance,
)

NOW = dt.datetime(2026, 3, 1, 12, 30, 15, 123456, tzinfo=dt.UTC)
EVERY = with_chance(EXTERNAL_SECRETS, Chance(random=os.urandom, now=lambda: NOW))
SPRIG_NAMES = """
    abbrev abbrevboth add add1 add1f addf adler32sum ago all any append atoi b32dec b32enc b64dec b64enc base bcrypt
    biggest buildCustomCert camelcase cat ceil chunk clean coalesce compact concat contains date dateInZone dateModify
    date_in_zone date_modify decryptAES deepCopy deepEqual default derivePassword dict dig dir div divf duration
    durationRound empty encryptAES ext fail first float64 floor fromJson genCA genCAWithKey genPrivateKey
    genSelfSignedCert genSelfSignedCertWithKey genSignedCert genSignedCertWithKey get has hasKey hasPrefix hasSuffix
    hello htmlDate htmlDateInZone htpasswd indent initial initials int int64 isAbs join kebabcase keys kindIs kindOf
    last list lower max maxf merge mergeOverwrite min minf mod mul mulf mustAppend mustChunk mustCompact mustDateModify
    mustDeepCopy mustFirst mustFromJson mustHas mustInitial mustLast mustMerge mustMergeOverwrite mustPrepend mustPush
    mustRegexFind mustRegexFindAll mustRegexMatch mustRegexReplaceAll mustRegexReplaceAllLiteral mustRegexSplit
    mustRest mustReverse mustSlice mustToDate mustToJson mustToPrettyJson mustToRawJson mustUniq mustWithout
    must_date_modify nindent nospace now omit osBase osClean osDir osExt osIsAbs pick pluck plural prepend push quote
    randAlpha randAlphaNum randAscii randBytes randInt randNumeric regexFind regexFindAll regexMatch regexQuoteMeta
    regexReplaceAll regexReplaceAllLiteral regexSplit repeat replace rest reverse round semver semverCompare seq set
    sha1sum sha256sum sha512sum shuffle slice snakecase sortAlpha split splitList splitn squote sub subf substr swapcase
    ternary title toDate toDecimal toJson toPrettyJson toRawJson toString toStrings trim trimAll trimPrefix trimSuffix
    trimall trunc tuple typeIs typeIsLike typeOf uniq unixEpoch unset until untilStep untitle upper urlJoin urlParse
    uuidv4 values without wrap wrapWith
"""
OWN_NAMES = """
    certSANs filterCertChain filterPEM fromYaml fullPemToPkcs12 fullPemToPkcs12Pass hexdec jwkPrivateKeyPem
    jwkPublicKeyPem pemToPkcs12 pemToPkcs12Pass pemTruststoreToPKCS12
    pemTruststoreToPKCS12Pass pkcs12cert pkcs12certPass pkcs12key
    pkcs12keyPass rsaDecrypt toYaml
"""


def render(text: str, **data: object) -> str:
    return Template.parse(text, name="t", functions=EVERY).render(data)


def leaf(pem: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pem.encode())


def ec_key() -> str:
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption())
    return ec.generate_private_key(ec.SECP256R1()).private_bytes(*form).decode()


def test_every_function_that_external_secrets_documents_is_there_and_no_other() -> None:
    assert set(EVERY) == set(SPRIG_NAMES.split()) | set(OWN_NAMES.split())


def test_signed_certificate_is_trusted_by_who_trusts_its_authority() -> None:
    made = render(
        '{{ $ca := genCA "root" 365 }}'
        '{{ $c := genSignedCert "web" (list "10.0.0.1" "::1") (list "web.example.com") 30 $ca }}'
        "{{ $ca.Cert }}|{{ $c.Cert }}|{{ $c.Key }}"
    )
    root, web, key = made.split("|")
    store = Store([leaf(root)])
    verifier = PolicyBuilder().store(store).time(NOW).build_server_verifier(x509.DNSName("web.example.com"))
    certificate = leaf(web)
    assert verifier.verify(certificate, [])[-1] == leaf(root)
    private = serialization.load_pem_private_key(key.encode(), None)
    assert private.public_key() == certificate.public_key()
    assert key.startswith("-----BEGIN RSA PRIVATE KEY-----")
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(one) for one in names.get_values_for_type(x509.IPAddress)] == ["10.0.0.1", "::1"]
    assert certificate.not_valid_before_utc == NOW.replace(microsecond=0)
    assert certificate.not_valid_after_utc == NOW.replace(microsecond=0) + dt.timedelta(days=30)
    purposes = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert set(purposes) == {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}


@pytest.mark.parametrize("kind", ["ecdsa", "ed25519"])
def test_certificates_are_made_with_keys_that_are_given(kind: str) -> None:
    made = render(
        f'{{{{ $k := genPrivateKey "{kind}" }}}}{{{{ $ca := genCAWithKey "root" 9 $k }}}}'
        '{{ $s := genSelfSignedCertWithKey "me" nil (list "me.example") 9 $k }}'
        '{{ $c := genSignedCertWithKey "you" nil nil 9 $ca $k }}'
        "{{ $k }}|{{ $ca.Key }}|{{ $s.Cert }}|{{ $c.Cert }}|{{ $ca.Cert }}"
    )
    key, same, own, signed, root = made.split("|")
    assert key == same
    assert leaf(own).issuer == leaf(own).subject
    leaf(own).verify_directly_issued_by(leaf(own))
    leaf(signed).verify_directly_issued_by(leaf(root))
    assert leaf(root).extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert not leaf(own).extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_a_custom_pair_signs_and_an_unfit_one_is_refused() -> None:
    certificate, key = render('{{ $c := genCAWithKey "root" 9 .k }}{{ $c.Cert }}|{{ $c.Key }}', k=ec_key()).split("|")
    packed = {"c": base64.b64encode(certificate.encode()).decode(), "k": base64.b64encode(key.encode()).decode()}
    text = '{{ (genSignedCertWithKey "x" nil nil 1 (buildCustomCert .c .k) .p).Cert }}'
    leaf(render(text, **packed, p=ec_key())).verify_directly_issued_by(leaf(certificate))
    for wrong in ({"c": "!"}, {"k": "!"}, {"c": packed["k"]}, {"k": packed["c"]}):
        with pytest.raises(ExecutionError, match="buildCustomCert"):
            render("{{ (buildCustomCert .c .k).Cert }}", **(packed | wrong))


@pytest.mark.parametrize(
    "text",
    ['{{ genCA "x" -1 }}', '{{ genCA "x" 99999999 }}', '{{ genSelfSignedCertWithKey "x" (list "1.2.3") nil 1 .k }}',
     '{{ genSelfSignedCertWithKey "x" nil (list 5) 1 .k }}', '{{ genSelfSignedCertWithKey "x" nil (list "ä b") 1 .k }}',
     '{{ genSignedCert "x" nil nil 1 "no authority" }}', '{{ genCAWithKey "x" 1 "canary" }}',
     '{{ genCAWithKey (repeat 99 "x") 1 .k }}', '{{ genPrivateKey "canary" }}', '{{ decryptAES "pw" "canary" }}',
     '{{ decryptAES "pw" "AAAA" }}', '{{ semver "canary" }}', '{{ semverCompare "canary" "1.2.3" }}',
     '{{ (semver "1.2.3").Compare "canary" }}', '{{ (semver "1.2.3").SetPrerelease "!canary" }}'],
)  # fmt: skip
def test_what_cannot_be_made_is_said_without_a_value(text: str) -> None:
    with pytest.raises(ExecutionError) as caught:
        render(text, k=ec_key())
    assert "canary" not in str(caught.value).split(">:")[-1]
    assert "calling" in str(caught.value) or "expected" in str(caught.value)


def test_aes_is_undone_by_the_same_password_and_openssl_agrees_on_the_form() -> None:
    assert render('{{ encryptAES "pw" "häll o" | decryptAES "pw" }}|{{ encryptAES "pw" "" }}|') == "häll o||"
    first, second = render('{{ encryptAES "pw" "x" }} {{ encryptAES "pw" "x" }}').split()
    assert first != second
    assert len(base64.b64decode(first)) == 32
    # made by `openssl enc -aes-256-cbc` with the key "secret" + 26 zero bytes and the IV 00…0f
    known = "AAECAwQFBgcICQoLDA0OD0w4wXGdPJjbsl6Ra5X+YL4="
    assert render('{{ .v | decryptAES "secret" }}', v=known) == "plain text"


def test_passwords_are_hashed_as_htpasswd_does() -> None:
    user, _, hashed = render('{{ htpasswd "ada" "pw" }}').partition(":")
    assert user == "ada"
    assert hashed.startswith("$2a$10$")
    assert bcrypt.checkpw(b"pw", hashed.encode())
    assert render('{{ htpasswd "a:b" "pw" }}').startswith("invalid username")


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ('{{ semver "v1.2.3-rc.1+5" }} {{ (semver "v1.2.3").Original }}', "1.2.3-rc.1+5 v1.2.3"),
        ('{{ with semver "1.2.3-a+b" }}{{ .Major }} {{ .Minor }} {{ .Patch }} {{ .Prerelease }} {{ .Metadata }}'
         "{{ end }}", "1 2 3 a b"),
        ('{{ (semver "1.2").IncPatch }} {{ (semver "1.2.3-a").IncPatch }} {{ (semver "v1.2.3").IncMinor.Original }} '
         '{{ (semver "1.2.3").IncMajor }}', "1.2.1 1.2.3 v1.3.0 2.0.0"),
        ('{{ semver "1.2.0" | (semver "1.10.0").Compare }} {{ (semver "1.0.0").LessThan (semver "1.0.1") }} '
         '{{ (semver "1.0.0+a").Equal (semver "1+b") }}', "1 true true"),
        ('{{ (semver "1.0.0").SetPrerelease "rc1" }} {{ (semver "1.0.0-x").SetMetadata "m" }}', "1.0.0-rc1 1.0.0-x+m"),
        ('{{ semverCompare "^1.20" "1.29.3" }} {{ semverCompare ">=1.0" "1.2.3-rc.1" }} '
         '{{ semverCompare ">=1.0-0" "1.2.3-rc.1" }} {{ semverCompare "1.2 - 3 || 7.x" "7.9" }}',
         "true false true true"),
        ('{{ semver "1.2" | toJson }} {{ dict "v" (semver "v2") | toYaml }}', '"1.2.0" v: 2.0.0'),
        ('{{ now | toJson }} {{ list now | toYaml }}', '"2026-03-01T12:30:15.123456Z" - "2026-03-01T12:30:15.123456Z"'),
    ],
)  # fmt: skip
def test_versions_and_times_are_those_of_go(text: str, answer: str) -> None:
    assert render(text) == answer


@pytest.mark.parametrize(
    "text",
    ["{{ range 1000 }}{{ genCA \"x\" 1 }}{{ end }}", '{{ range 1000 }}{{ bcrypt "x" }}{{ end }}',
     '{{ range 1000 }}{{ genPrivateKey "rsa" }}{{ end }}',
     '{{ range 1000 }}{{ derivePassword 1 "pin" "a" "b" "c" }}{{ end }}'],
)  # fmt: skip
def test_slow_functions_are_called_so_often_and_no_more(text: str) -> None:
    template = Template.parse(text, name="t", functions=EVERY)
    with pytest.raises(BudgetExceededError, match="slow"):
        template.render({}, budget=Budget(heavy=40))


def test_the_default_budget_has_room_for_what_people_write() -> None:
    text = (
        '{{ $ca := genCA "root" 365 }}{{ $a := genSignedCert "a" nil nil 9 $ca }}'
        '{{ $b := genSignedCert "b" nil nil 9 $ca }}{{ htpasswd "u" "p" }}{{ $k := genPrivateKey "ecdsa" }}'
        '{{ derivePassword 1 "long" "p" "u" "s" }}{{ len $b.Cert }}'
    )
    assert render(text)
    costs = [EVERY[name].cost_of(["rsa"]) for name in ("genPrivateKey", "genCA", "htpasswd")]
    assert sum(costs) <= Budget().heavy


def test_what_changes_each_time_is_not_among_the_deterministic() -> None:
    certificates = {"genCA", "genSignedCert", "genSelfSignedCert", "genPrivateKey", "encryptAES", "htpasswd", "bcrypt"}
    assert not certificates & set(SPRIG)
    assert not certificates & set(EVERY.deterministic())
    assert {"decryptAES", "buildCustomCert", "semver", "semverCompare"} <= set(SPRIG)


def test_htpasswd_takes_the_algorithm_that_external_secrets_copy_of_sprig_asks_for() -> None:
    assert render('{{ htpasswd "u" "p" "sha" }}') == "u:{SHA}UWuXg/ylF+7L0dBk2i0WUxCxl1k="
    assert render('{{ htpasswd "u" "p" "bcrypt" }}').startswith("u:$2a$10$")
    assert render('{{ htpasswd "u" "p" }}').startswith("u:$2a$10$")
