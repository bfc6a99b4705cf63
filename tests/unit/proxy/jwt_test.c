/* jwt_test.c: key sets and single tokens. The vectors are facts of RFC 7515 (appendix A) and RFC 8037 (appendix A). */
#include "proxy/base64url.h"
#include "proxy/jwt.h"
#include "tests/unit/proxy/jwt_make.h"
#include "tests/unit/unit.h"

enum { NOW = 1700000000 };

/* ---- base64url ---- */

static const struct {
    const char *in, *out; /* NULL: refused */
} encoded[] = {
    { "", "" }, { "Zg", "f" }, { "Zm8", "fo" }, { "Zm9v", "foo" }, { "Zm9vYg", "foob" }, { "Zm9vYmE", "fooba" },
    { "Zm9vYmFy", "foobar" }, { "_-8", "\xff\xef" }, /* RFC 4648, 10 */
    { "Zg==", NULL }, { "Zh", NULL }, { "Zm9", NULL }, { "Z", NULL }, { "Zm9vY", NULL }, { "Zm 8", NULL },
    { "Zm9+", NULL }, { "Zm9/", NULL }, { "Zm9v\n", NULL }, { "Zg.", NULL },
};

START_TEST(decodes_base64url)
{
    struct str in = str_of(encoded[_i].in);
    uint8_t out[64];
    ptrdiff_t n = base64url_decode(in, out);

    ck_assert_uint_le(BASE64URL_ROOM(in.n), sizeof(out));
    if (!encoded[_i].out)
        ck_assert_msg(n == -1, "%s: %td", encoded[_i].in, n);
    else
        ck_assert_msg(n >= 0 && str_eqz((struct str){ (char *)out, (size_t)n }, encoded[_i].out), "%s", encoded[_i].in);
}
END_TEST

/* ---- the RFCs' own tokens ---- */

#define PAYLOAD_7515 "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
#define HMAC_7515 \
    "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9." PAYLOAD_7515 ".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
#define NONE_7515 "eyJhbGciOiJub25lIn0." PAYLOAD_7515 "."

static const struct {
    const char *jwks, *token;
} vectors[] = {
    { "{\"keys\":[{\"kty\":\"RSA\",\"n\":\"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4"
      "qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSX"
      "ndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-D"
      "WNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ\",\"e\":\"AQAB\"}]}",
      "eyJhbGciOiJSUzI1NiJ9." PAYLOAD_7515
      ".cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF"
      "9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcO"
      "Ln6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmt"
      "VrBp0igcN_IoypGlUPQGe77Rw" }, /* A.2 */
    { "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
      "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}]}",
      "eyJhbGciOiJFUzI1NiJ9." PAYLOAD_7515 ".DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTU"
      "JqPP3-Kg6NU1Q" }, /* A.3 */
};

static struct jwt *parsed(const char *text)
{
    struct jwt *t;
    enum jwt_status s = jwt_parse(str_of(text), &t);

    ck_assert_msg(s == JWT_OK, "%s: %s", text, jwt_status_text(s));
    return t;
}

START_TEST(verifies_what_the_rfcs_signed)
{
    struct err e = ERR_INIT;
    struct jwks *k = jwks_new(str_of(vectors[_i].jwks), &e);
    struct jwt *t = parsed(vectors[_i].token);

    ck_assert_msg(k != NULL, "%s", e.msg);
    ck_assert_int_eq(jwt_verify(t, k), JWT_OK);
    ck_assert(str_eqz(t->issuer, "joe"));
    ck_assert_int_eq(t->expires, 1300819380);
    ck_assert(json_is_true(json_object_get(t->claims, "http://example.com/is_root")));
    jwt_put(t);
    jwks_put(k);
}
END_TEST

START_TEST(verifies_ed25519_of_rfc_8037)
{
    /* A.4 signs a text that is no JWT: the set is asked directly */
    struct str bytes = STR("eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc");
    struct str text = STR("hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg");
    struct str set = STR("{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\","
                         "\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}]}");
    uint8_t signature[80];
    ptrdiff_t n = base64url_decode(text, signature);
    struct jwks *k = jwks_new(set, NULL);

    ck_assert_ptr_nonnull(k);
    ck_assert_int_eq(n, 64);
    ck_assert_int_eq(jwks_verify(k, JWS_EDDSA, STR_NULL, bytes, (struct str){ (char *)signature, 64 }), JWKS_VERIFIED);
    signature[5] ^= 1;
    ck_assert_int_eq(jwks_verify(k, JWS_EDDSA, STR_NULL, bytes, (struct str){ (char *)signature, 64 }),
                     JWKS_BAD_SIGNATURE);
    jwks_put(k);
}
END_TEST

/* ---- every algorithm ---- */

static const struct {
    const char *alg, *curve; /* RSA, P-…, or NULL for Ed25519 */
} schemes[] = {
    { "RS256", "RSA" },   { "RS384", "RSA" },   { "RS512", "RSA" },   { "PS256", "RSA" }, { "PS384", "RSA" },
    { "PS512", "RSA" },   { "ES256", "P-256" }, { "ES384", "P-384" }, { "ES512", "P-521" }, { "EdDSA", NULL },
};

static struct signer signer_for(size_t i)
{
    if (!schemes[i].curve)
        return ed25519_signer();
    return strcmp(schemes[i].curve, "RSA") == 0 ? rsa_signer(2048) : ec_signer(schemes[i].curve);
}

static enum jwt_status verdict(const char *token, const struct jwks *k)
{
    struct jwt *t;
    enum jwt_status s = jwt_parse(str_of(token), &t);

    if (s == JWT_OK)
        s = jwt_verify(t, k);
    jwt_put(t);
    return s;
}

/* Another character in the middle. */
static void spoil(char *part)
{
    char *at = part + strlen(part) / 2;

    *at = *at == 'A' ? 'B' : 'A';
}

/* By whole bytes. */
static void cut(char *part)
{
    size_t n = strlen(part);

    part[n - n % 4 - 4] = 0;
}

/* The token's header and signature around another payload; to be freed. */
static char *with_payload(const char *token, const char *payload)
{
    struct buf b = BUF_INIT(1 << 16);
    size_t n;

    buf_put(&b, token, (size_t)(strchr(token, '.') - token) + 1);
    put_base64url(&b, payload, strlen(payload));
    buf_puts(&b, strrchr(token, '.'));
    return buf_take(&b, &n);
}

START_TEST(verifies_each_algorithm)
{
    struct signer s = signer_for((size_t)_i), other = signer_for((size_t)_i);
    struct jwks *k = jwks_of(&s, "one", ""), *stranger = jwks_of(&other, "one", "");
    char *token = token_by(&s, schemes[_i].alg, "one", "{\"iss\":\"me\",\"sub\":\"you\"}");
    char *other_words = with_payload(token, "{\"iss\":\"me\",\"sub\":\"her\"}");

    ck_assert_int_eq(verdict(token, k), JWT_OK);
    ck_assert_int_eq(verdict(token, stranger), JWT_BAD_SIGNATURE);
    ck_assert_int_eq(verdict(other_words, k), JWT_BAD_SIGNATURE);
    spoil(strrchr(token, '.') + 1);
    ck_assert_int_eq(verdict(token, k), JWT_BAD_SIGNATURE);
    free(other_words);
    free(token);
    token = token_by(&s, schemes[_i].alg, "two", "{}");
    ck_assert_int_eq(verdict(token, k), JWT_NO_KEY);
    free(token);
    token = token_by(&s, schemes[_i].alg, NULL, "{}"); /* without a kid all keys may be it */
    ck_assert_int_eq(verdict(token, k), JWT_OK);
    cut(strrchr(token, '.') + 1);
    ck_assert_int_eq(verdict(token, k), JWT_BAD_SIGNATURE);
    free(token);
    jwks_put(k);
    jwks_put(stranger);
    EVP_PKEY_free(s.pkey);
    EVP_PKEY_free(other.pkey);
}
END_TEST

START_TEST(keeps_algorithms_apart)
{
    struct signer rsa = rsa_signer(2048), p256 = ec_signer("P-256");
    struct jwks *any = jwks_of(&rsa, "k", ""), *ps = jwks_of(&rsa, "k", "\"alg\":\"PS256\",");
    struct jwks *ec = jwks_of(&p256, "k", "");
    char *rs256 = token_by(&rsa, "RS256", "k", "{}"), *es256 = token_by(&p256, "ES256", "k", "{}");
    char *lie = token_of(&rsa, "RS256", "{\"alg\":\"PS256\",\"kid\":\"k\"}", "{}");
    char *wide = token_of(&p256, "ES256", "{\"alg\":\"ES384\",\"kid\":\"k\"}", "{}");

    ck_assert_int_eq(verdict(rs256, any), JWT_OK);
    ck_assert_int_eq(verdict(rs256, ps), JWT_NO_KEY);
    ck_assert_int_eq(verdict(lie, any), JWT_BAD_SIGNATURE);
    ck_assert_int_eq(verdict(es256, any), JWT_NO_KEY);
    ck_assert_int_eq(verdict(rs256, ec), JWT_NO_KEY);
    ck_assert_int_eq(verdict(wide, ec), JWT_NO_KEY);
    free(rs256);
    free(es256);
    free(lie);
    free(wide);
    jwks_put(any);
    jwks_put(ps);
    jwks_put(ec);
    EVP_PKEY_free(rsa.pkey);
    EVP_PKEY_free(p256.pkey);
}
END_TEST

/* ---- taking apart ---- */

static const struct {
    const char *header, *payload; /* JSON; a leading "=" says: as it is */
    const char *signature;
    enum jwt_status want;
} forms[] = {
    { "{\"alg\":\"RS256\"}", "{}", "AAAA", JWT_OK },
    { "{\"alg\":\"RS256\"}", "{}", "", JWT_BAD_FORM },
    { "{\"alg\":\"RS256\"}", "{}", "AAAA.AAAA", JWT_BAD_FORM },
    { "{\"alg\":\"RS256\"}", "{}", "AAA=", JWT_SIGNATURE_BAD_BASE64 },
    { "=", "{}", "AAAA", JWT_BAD_FORM },
    { "=e30=", "{}", "AAAA", JWT_HEADER_BAD_BASE64 },
    { "[]", "{}", "AAAA", JWT_HEADER_BAD_JSON },
    { "{\"alg\":\"RS256\",\"alg\":\"ES256\"}", "{}", "AAAA", JWT_HEADER_BAD_JSON },
    { "{}", "{}", "AAAA", JWT_HEADER_BAD_ALG },
    { "{\"alg\":1}", "{}", "AAAA", JWT_HEADER_BAD_ALG },
    { "{\"alg\":\"none\"}", "{}", "AAAA", JWT_HEADER_UNKNOWN_ALG },
    { "{\"alg\":\"None\"}", "{}", "AAAA", JWT_HEADER_UNKNOWN_ALG },
    { "{\"alg\":\"HS256\"}", "{}", "AAAA", JWT_HEADER_UNKNOWN_ALG },
    { "{\"alg\":\"HS512\"}", "{}", "AAAA", JWT_HEADER_UNKNOWN_ALG },
    { "{\"alg\":\"rs256\"}", "{}", "AAAA", JWT_HEADER_UNKNOWN_ALG },
    { "{\"alg\":\"RS256\",\"kid\":7}", "{}", "AAAA", JWT_HEADER_BAD_KID },
    { "{\"alg\":\"RS256\",\"crit\":[\"b64\"],\"b64\":false}", "{}", "AAAA", JWT_HEADER_CRITICAL },
    { "{\"alg\":\"RS256\"}", "=", "AAAA", JWT_BAD_FORM },
    { "{\"alg\":\"RS256\"}", "=e3", "AAAA", JWT_PAYLOAD_BAD_BASE64 },
    { "{\"alg\":\"RS256\"}", "\"text\"", "AAAA", JWT_PAYLOAD_BAD_JSON },
    { "{\"alg\":\"RS256\"}", "{} {}", "AAAA", JWT_PAYLOAD_BAD_JSON },
    { "{\"alg\":\"RS256\"}", "{\"sub\":\"a\",\"sub\":\"b\"}", "AAAA", JWT_PAYLOAD_BAD_JSON },
    { "{\"alg\":\"RS256\"}", "{\"iss\":1}", "AAAA", JWT_PAYLOAD_BAD_ISS },
    { "{\"alg\":\"RS256\"}", "{\"sub\":[]}", "AAAA", JWT_PAYLOAD_BAD_SUB },
    { "{\"alg\":\"RS256\"}", "{\"exp\":\"1\"}", "AAAA", JWT_PAYLOAD_BAD_EXP },
    { "{\"alg\":\"RS256\"}", "{\"exp\":-1}", "AAAA", JWT_PAYLOAD_BAD_EXP },
    { "{\"alg\":\"RS256\"}", "{\"exp\":1e300}", "AAAA", JWT_PAYLOAD_BAD_EXP },
    { "{\"alg\":\"RS256\"}", "{\"exp\":1.5}", "AAAA", JWT_OK },
    { "{\"alg\":\"RS256\"}", "{\"nbf\":null}", "AAAA", JWT_PAYLOAD_BAD_NBF },
    { "{\"alg\":\"RS256\"}", "{\"iat\":true}", "AAAA", JWT_PAYLOAD_BAD_IAT },
    { "{\"alg\":\"RS256\"}", "{\"aud\":{}}", "AAAA", JWT_PAYLOAD_BAD_AUD },
    { "{\"alg\":\"RS256\"}", "{\"aud\":[\"a\",1]}", "AAAA", JWT_PAYLOAD_BAD_AUD },
    { "{\"alg\":\"RS256\"}", "{\"aud\":[\"a\",\"b\"]}", "AAAA", JWT_OK },
};

static void put_part(struct buf *b, const char *part)
{
    if (part[0] == '=')
        buf_puts(b, part + 1);
    else
        put_base64url(b, part, strlen(part));
}

START_TEST(takes_tokens_apart)
{
    struct buf b = BUF_INIT(1 << 16);
    struct jwt *t;
    enum jwt_status s;

    put_part(&b, forms[_i].header);
    buf_putc(&b, '.');
    put_part(&b, forms[_i].payload);
    buf_printf(&b, ".%s", forms[_i].signature);
    s = jwt_parse(buf_view(&b), &t);
    ck_assert_msg(s == forms[_i].want, "%s %s: %s", forms[_i].header, forms[_i].payload, jwt_status_text(s));
    jwt_put(t);
    buf_free(&b);
}
END_TEST

START_TEST(refuses_the_rfcs_unsigned_and_symmetric_tokens)
{
    struct jwt *t;

    ck_assert_int_eq(jwt_parse(STR(HMAC_7515), &t), JWT_HEADER_UNKNOWN_ALG);
    ck_assert_int_eq(jwt_parse(STR(NONE_7515), &t), JWT_BAD_FORM);
    ck_assert_int_eq(jwt_parse(STR(NONE_7515 "AAAA"), &t), JWT_HEADER_UNKNOWN_ALG);
    ck_assert_ptr_null(t);
}
END_TEST

START_TEST(bounds_sizes)
{
    static char text[JWT_MOST_BYTES + 2];
    struct jwt *t;

    memset(text, 'A', sizeof(text));
    text[10] = text[30] = '.';
    ck_assert_int_eq(jwt_parse((struct str){ text, JWT_MOST_BYTES + 1 }, &t), JWT_BAD_FORM);
    ck_assert_int_eq(jwt_parse((struct str){ text, JWT_MOST_BYTES }, &t), JWT_HEADER_BAD_JSON);
    memset(text, 'A', sizeof(text));
    text[JWT_MOST_HEADER_BYTES + 1] = text[JWT_MOST_HEADER_BYTES + 4] = '.';
    ck_assert_int_eq(jwt_parse((struct str){ text, JWT_MOST_BYTES }, &t), JWT_BAD_FORM);
    ck_assert_int_eq(jwt_parse(STR_NULL, &t), JWT_BAD_FORM);
}
END_TEST

/* ---- what a rule asks ---- */

static const struct {
    const char *payload, *issuer, *audience;
    enum jwt_status want;
} asked[] = {
    { "{\"iss\":\"a\"}", "a", NULL, JWT_OK },
    { "{\"iss\":\"a\"}", "", NULL, JWT_OK },
    { "{\"iss\":\"b\"}", "a", NULL, JWT_UNKNOWN_ISSUER },
    { "{}", "a", NULL, JWT_UNKNOWN_ISSUER },
    { "{\"exp\":1700000000}", "", NULL, JWT_OK },
    { "{\"exp\":1699999940}", "", NULL, JWT_OK },
    { "{\"exp\":1699999939}", "", NULL, JWT_EXPIRED },
    { "{\"nbf\":1700000060}", "", NULL, JWT_OK },
    { "{\"nbf\":1700000061}", "", NULL, JWT_NOT_YET_VALID },
    { "{\"iat\":1700000061}", "", NULL, JWT_NOT_YET_VALID },
    { "{\"exp\":1,\"nbf\":1700000061}", "", NULL, JWT_NOT_YET_VALID },
    { "{\"aud\":\"x\"}", "", "x", JWT_OK },
    { "{\"aud\":[\"y\",\"x\"]}", "", "x", JWT_OK },
    { "{\"aud\":[\"y\"]}", "", "x", JWT_BAD_AUDIENCE },
    { "{\"aud\":[]}", "", "x", JWT_BAD_AUDIENCE },
    { "{}", "", "x", JWT_BAD_AUDIENCE },
    { "{\"aud\":\"https://x/\"}", "", "x", JWT_OK },
    { "{\"aud\":\"x\"}", "", "http://x/", JWT_OK },
    { "{\"aud\":\"https://x/y\"}", "", "x", JWT_BAD_AUDIENCE },
    { "{\"exp\":1,\"aud\":\"y\"}", "", "x", JWT_EXPIRED },
};

START_TEST(checks_claims)
{
    struct str audience = str_of(asked[_i].audience);
    struct jwt_rule r = { .issuer = str_of(asked[_i].issuer), .audiences = &audience, .naudiences = audience.p != NULL,
                          .leeway_s = 60 };
    struct signer s = ec_signer("P-256");
    char *token = token_by(&s, "ES256", NULL, asked[_i].payload);
    struct jwt *t = parsed(token);
    enum jwt_status got = jwt_check(t, &r, NOW);

    ck_assert_msg(got == asked[_i].want, "%s: %s", asked[_i].payload, jwt_status_text(got));
    jwt_put(t);
    free(token);
    EVP_PKEY_free(s.pkey);
}
END_TEST

START_TEST(finds_claims)
{
    struct signer s = ec_signer("P-256");
    char *token = token_by(&s, "ES256", NULL, "{\"a\":{\"b\":{\"c\":\"deep\"},\"x.y\":1},\"s\":\"t\"}");
    struct str extra = STR("roles");
    struct jwt_rule r = { .space_delimited = &extra, .nspace_delimited = 1 };
    struct jwt *t = parsed(token);

    ck_assert_str_eq(json_string_value(jwt_claim(t, STR("a\001b\001c"))), "deep");
    ck_assert_int_eq(json_integer_value(jwt_claim(t, STR("a\001x.y"))), 1);
    ck_assert_ptr_null(jwt_claim(t, STR("a\001b\001d")));
    ck_assert_ptr_null(jwt_claim(t, STR("s\001t")));
    ck_assert(jwt_is_space_delimited(NULL, STR("scope")));
    ck_assert(!jwt_is_space_delimited(NULL, STR("roles")));
    ck_assert(jwt_is_space_delimited(&r, STR("roles")));
    jwt_put(t);
    free(token);
    EVP_PKEY_free(s.pkey);
}
END_TEST

/* ---- key sets ---- */

#define P256_X "\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\""
#define P256 "\"kty\":\"EC\",\"crv\":\"P-256\"," P256_X ",\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\""
#define ED "\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\""

static const struct {
    const char *text;
    int code;        /* 0: it serves */
    size_t count;
    const char *msg; /* a part */
} sets[] = {
    { "{\"keys\":[{" P256 "}]}", 0, 1, NULL },
    { "{\"keys\":[{" P256 ",\"use\":\"sig\",\"alg\":\"ES256\",\"key_ops\":[\"verify\"],\"x5t\":1}],\"more\":1}", 0, 1,
      NULL },
    { "{\"keys\":[{" P256 "},{" ED "},{\"kty\":\"oct\",\"k\":\"AAAA\"},{\"kty\":\"new\"},7]}", 0, 2, NULL },
    { "", ERR_PARSE, 0, "no JSON" },
    { "[]", ERR_PARSE, 0, "an object with an array" },
    { "{\"keys\":{}}", ERR_PARSE, 0, "an object with an array" },
    { "{\"keys\":[]}", ERR_INVALID, 0, "none of 0" },
    { "{\"keys\":[{\"kty\":\"oct\",\"k\":\"AAAA\",\"alg\":\"HS256\"}]}", ERR_INVALID, 0, "kty is not one of" },
    { "{\"keys\":[{" P256 ",\"use\":\"enc\"}]}", ERR_INVALID, 0, "use is not" },
    { "{\"keys\":[{" P256 ",\"key_ops\":[\"sign\"]}]}", ERR_INVALID, 0, "key_ops has no" },
    { "{\"keys\":[{" P256 ",\"alg\":\"HS256\"}]}", ERR_INVALID, 0, "alg is not one" },
    { "{\"keys\":[{" P256 ",\"alg\":\"ES384\"}]}", ERR_INVALID, 0, "alg is not one" },
    { "{\"keys\":[{" P256 ",\"alg\":\"RS256\"}]}", ERR_INVALID, 0, "alg is not one" },
    { "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"secp256k1\"," P256_X ",\"y\":\"AAAA\"}]}", ERR_INVALID, 0, "crv is not" },
    { "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\"," P256_X ",\"y\":\"AAAA\"}]}", ERR_INVALID, 0, "curve's length" },
    { "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\"," P256_X ","
      "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a8\"}]}",
      ERR_INVALID, 0, "not on the curve" },
    { "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\"}]}", ERR_INVALID, 0, "curve's length" },
    { "{\"keys\":[{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\"}]}", ERR_INVALID, 0, "2048 to 8192" },
    { "{\"keys\":[{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQ\"}]}", ERR_INVALID, 0, "even or 1" },
    { "{\"keys\":[{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQABAQABAQAB\"}]}", ERR_INVALID, 0, "too long" },
    { "{\"keys\":[{\"kty\":\"RSA\",\"e\":\"AQAB\"}]}", ERR_INVALID, 0, "n or e is missing" },
    { "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"X25519\",\"x\":\"AAAA\"}]}", ERR_INVALID, 0, "crv is not Ed25519" },
    { "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AAAA\"}]}", ERR_INVALID, 0, "32 bytes" },
};

START_TEST(reads_key_sets)
{
    struct err e = ERR_INIT;
    struct jwks *k = jwks_new(str_of(sets[_i].text), &e);

    ck_assert_msg(e.code == sets[_i].code, "%s: %d %s", sets[_i].text, e.code, e.msg);
    ck_assert_msg(!sets[_i].msg || strstr(e.msg, sets[_i].msg), "%s: %s", sets[_i].text, e.msg);
    if (k)
        ck_assert_uint_eq(jwks_count(k), sets[_i].count);
    jwks_put(k);
}
END_TEST

START_TEST(bounds_key_sets)
{
    struct buf b = BUF_INIT(1 << 20);
    struct err e = ERR_INIT;

    buf_puts(&b, "{\"keys\":[");
    for (int i = 0; i <= JWKS_MOST_KEYS; i++)
        buf_printf(&b, "%s{" ED "}", i ? "," : "");
    buf_puts(&b, "]}");
    ck_assert_ptr_null(jwks_new(buf_view(&b), &e));
    ck_assert_int_eq(e.code, ERR_LIMIT);
    buf_reset(&b);
    while (b.n <= JWKS_MOST_BYTES)
        buf_puts(&b, "          ");
    ck_assert_ptr_null(jwks_new(buf_view(&b), &e));
    ck_assert_int_eq(e.code, ERR_LIMIT);
    buf_free(&b);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("jwt");
    TCase *t = tcase_create("jwt");

    tcase_set_timeout(t, 60); /* RSA keys under a sanitizer */
    tcase_add_loop_test(t, decodes_base64url, 0, COUNT(encoded));
    tcase_add_loop_test(t, verifies_what_the_rfcs_signed, 0, COUNT(vectors));
    tcase_add_test(t, verifies_ed25519_of_rfc_8037);
    tcase_add_loop_test(t, verifies_each_algorithm, 0, COUNT(schemes));
    tcase_add_test(t, keeps_algorithms_apart);
    tcase_add_loop_test(t, takes_tokens_apart, 0, COUNT(forms));
    tcase_add_test(t, refuses_the_rfcs_unsigned_and_symmetric_tokens);
    tcase_add_test(t, bounds_sizes);
    tcase_add_loop_test(t, checks_claims, 0, COUNT(asked));
    tcase_add_test(t, finds_claims);
    tcase_add_loop_test(t, reads_key_sets, 0, COUNT(sets));
    tcase_add_test(t, bounds_key_sets);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(make_suite)
