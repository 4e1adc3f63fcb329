"""Rules of the libraries that sprig calls, at their edges. Expected texts are what those libraries yield."""

from __future__ import annotations

import pytest

from controllers.templating import EXTERNAL_SECRETS, ExecutionError, StringMap, Template

NAMES = {
    # name: snakecase, kebabcase, camelcase
    "s3BucketName": ("s3_bucket_name", "s3-bucket-name", "S3BucketName"),
    "http2xxCount": ("http_2xx_count", "http-2xx-count", "Http2xxCount"),
    "HTTPServerURL": ("http_server_url", "http-server-url", "HttpserverURL"),
    "key.name": ("key.name", "key.name", "Key.name"),
    "__a--b c": ("__a__b_c", "--a--b-c", "__A-BC"),
    "a_": ("a_", "a-", "A_"),
    "42nd Street": ("42nd_street", "42nd-street", "42ndStreet"),
    "ISO8601Date": ("iso8601_date", "iso8601-date", "Iso8601Date"),
    "größeÄnderung": ("größe_änderung", "größe-änderung", "GrößeÄnderung"),
    "a@b": ("a@b", "a@b", "A@b"),
    "a.--B": ("a.--b", "a.--b", "A.-B"),
    "": ("", "", ""),
}


def render(text: str, **data: object) -> str:
    return Template.parse(text, name="t", functions=EXTERNAL_SECRETS).render(data)


@pytest.mark.parametrize("name", NAMES)
def test_names_are_split_into_words_as_xstrings_splits_them(name: str) -> None:
    text = "{{ snakecase .n }}|{{ kebabcase .n }}|{{ camelcase .n }}"
    assert render(text, n=name) == "|".join(NAMES[name])


ANSWERS = {
    '{{ int "0755" }} {{ int "0x1F" }} {{ int "1_000" }} {{ int "08" }} {{ int " 7" }} {{ int "7.9" }}':
        "493 31 1000 0 0 7",
    '{{ float64 "1_000.5" }} {{ float64 "0x1p-2" }} {{ float64 "1e999" }} {{ float64 " 1" }}': "1000.5 0.25 0 0",
    '{{ add 1e30 1 }} {{ atoi "99999999999999999999" }} {{ toDecimal "755" }} {{ toDecimal "9" }}':
        "-9223372036854775807 9223372036854775807 493 0",
    "{{ divf 2 3 }} {{ mulf -0.0 5 }} {{ ceil -0.5 }} {{ addf 0.1 0.2 }}": "0.6666666666666667 0 -0 0.3",
    '{{ kindOf (add 1 2) }} {{ kindOf (int64 3) }} {{ kindOf (int "3") }} {{ typeOf (splitList "," "a") }}':
        "int64 int64 int []string",
    '{{ regexFindAll "z" "abc" -1 | toJson }} {{ rest (list) | toJson }} {{ regexFindAll "b" "abc" -1 | toJson }}':
        'null null ["b"]',
    '{{ regexSplit "x*" "axb" -1 | toJson }} {{ regexSplit "$" "ab" -1 | toJson }} {{ regexSplit "b" "" -1 | toJson }}':
        '["a","b"] ["ab"] [""]',
    '{{ duration "3661" }} {{ duration 3661 }} {{ duration (int64 60) }} {{ durationRound "26h" }}':
        "1h1m1s 0s 1m0s 1d",
    "{{ title \"it's a-b o_o\" }} {{ untitle \"Ab Cd\" }} {{ initials \"one two\" }}": "It'S A-B O_o ab cd ot",
    '{{ sortAlpha "b" }} {{ dict (list 1 2) "x" }} {{ fromJson "\\"a\\\\ud800b\\"" }}': "[b] map[[1 2]:x] a\ufffdb",
    '{{ printf "%b|%z|%#v" 0.5 (list 1 "a") (list nil) }}':
        "4503599627370496p-53|[%!z(int=1) %!z(string=a)]|[]interface {}{interface {}(nil)}",
    '{{ regexMatch "(" "a" }} {{ toDecimal "0o17" }} {{ dict "a" "5e48573" "b" -9223372036854775808.0 | toYaml }}':
        "false 0 a: 5e48573\nb: -9.223372036854776e+18",
    '{{ "abc" | sha256sum | hexdec | b64enc }}': "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=",
    '{{ hexdec "6G" }}, {{ hexdec "616" }}, {{ hexdec "6162" }}':
        "encoding/hex: invalid byte: U+0047 'G', encoding/hex: odd length hex string, ab",
    '{{ printf "%*d" "w" 5 }}': "%!(BADWIDTH)5",
}  # fmt: skip


@pytest.mark.parametrize("text", ANSWERS)
def test_the_edges_of_sprigs_functions_are_their_libraries(text: str) -> None:
    assert render(text) == ANSWERS[text]


URLS = {
    "amqp://u:p%40x@H:5672/%2Fv": ("u:p%40x|H:5672|H|//v|", "amqp://u:p%40x@H:5672//v"),
    "jdbc:mysql://h:3306/db": ("||||mysql://h:3306/db", "jdbc:mysql://h:3306/db"),
    "HTTP://é.dev/ü?q=1#f g": ("|é.dev|é.dev|/ü|", "http://%C3%A9.dev/%C3%BC?q=1#f%20g"),
    "mongodb://a:1,b:2/db": ("|a:1,b:2|a:1,b|/db|", "mongodb://a:1,b:2/db"),
    "http://[fe80::1%25en0]:80/": ("|[fe80::1%en0]:80|fe80::1%en0|/|", "http://[fe80::1%25en0]:80/"),
    "a b": ("|||a b|", "a%20b"),
}


@pytest.mark.parametrize("url", URLS)
def test_a_url_is_taken_apart_and_joined_as_net_url_does(url: str) -> None:
    text = (
        "{{ $u := urlParse .u }}{{ $u.userinfo }}|{{ $u.host }}|{{ $u.hostname }}|{{ $u.path }}|{{ $u.opaque }}"
        " {{ urlJoin $u }}"
    )
    parts, joined = URLS[url]
    assert render(text, u=url) == f"{parts} {joined}"


@pytest.mark.parametrize("url", ["%zz", "http://a b/", "http://h:x/", ":x", "a:b:c/ \x01", "http://[::1/", "1:2/3"])
def test_what_cannot_be_a_url_is_refused_without_its_text(url: str) -> None:
    with pytest.raises(ExecutionError, match="unable to parse url") as caught:
        render("{{ urlParse .u }}", u=url)
    assert url not in str(caught.value)


@pytest.mark.parametrize(
    "text", ['{{ hasKey . "a" }}', '{{ pick . "a" }}', "{{ until (add 1 2) }}", '{{ regexFind "\\\\C" "é" }}']
)
def test_what_upstreams_types_refuse_is_refused(text: str) -> None:
    with pytest.raises(ExecutionError):
        Template.parse(text, name="t", functions=EXTERNAL_SECRETS).render(StringMap({"a": "1"}))
