package flight

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"net/url"
	"strings"
	"testing"
)

// A key as a test would make one: not a real one.
const (
	jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c"
	pem = "-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEAx1x2x3x4\nQUJDREVGR0hJSktMTU5PUFFS\n-----END RSA PRIVATE KEY-----"
)

// planted are texts that hold a secret, and what of it must not be seen.
var planted = []struct{ name, text, secret string }{
	{"an Anthropic key in an error", "401 for key sk-ant-api03-AAAAbbbbCCCCdddd_eeee-ffff!", "AAAAbbbbCCCC"},
	{"glued to a name", "KEYsk-ant-oat01-AAAAbbbbCCCCdddd", "AAAAbbbb"},
	{"a token that the terminal broke at its width", strings.Repeat(" ", 10) + "sk-ant-oat01-" + strings.Repeat("A", 57) + "\r\n" + strings.Repeat("B", 80) + "\r\n" + "CCCCCCCC" + "\r\nnext line", "CCCC"},
	{"colours in the middle of a token", "sk-ant-\x1b[31mapi03-\x1b[0mAAAAbbbbCCCCdddd", "bbbbCCCC"},
	{"a token in a window's title", "\x1b]0;ghp_AAAAbbbbCCCCddddEEEEffff0123456789\x07", "bbbbCCCC"},
	{"GitHub", "remote: ghs_AAAAbbbbCCCCddddEEEEffff0123456789", "bbbbCCCC"},
	{"GitHub, fine-grained", "github_pat_11AAAA_bbbbCCCCddddEEEE", "bbbbCCCC"},
	{"AWS", "using AKIAIOSFODNN7EXAMPLE now", "IOSFODNN7"},
	{"AWS, the secret half", "aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCY", "bPxRfiCY"},
	{"a web token", "got " + jwt + ".", "SflKxw"},
	{"our own key", "VITRINE_KEY=vtr_AAAAbbbbCCCCddddEEEEffffGGGGhhhhIIIIjjjjKKK", "bbbb"},
	{"our own ticket in a fragment", "GET /view/ses_1#ticket=vtk_AAAAbbbbCCCCddddEEEEffff", "bbbb"},
	{"a bearer", "> Authorization: Bearer abc.def~ghi+jkl/mno==", "jkl"},
	{"digest, with quotes and commas", `Authorization: Digest username="bob", response="6629fae49393"`, "6629fae"},
	{"a proxy's", "proxy-authorization: basic dXNlcjpwYXNz", "dXNlcjpwYXNz"},
	{"basic without its header's name", "sent Basic dXNlcjpwYXNzd29yZA==", "dXNlcjpwYXNz"},
	{"a cookie", "Set-Cookie: vitrine_login=deadbeefcafe; Path=/; HttpOnly", "deadbeef"},
	{"cookies, several", "cookie: a=1; session=deadbeefcafe", "deadbeef"},
	{"a proxy with its password", "via socks5://ada:hunter2@proxy.example:1080", "hunter2"},
	{"a password with an @ in it", "postgres://ada:hunt@er2@db/vitrine", "er2"},
	{"a user alone", "https://onlytoken4711@github.com/x.git", "onlytoken4711"},
	{"a callback's code", "http://localhost:5454/callback?code=ac_4711abc&state=xyz987", "ac_4711abc"},
	{"and its state", "http://localhost:5454/callback?code=ac_4711abc&state=xyz987", "xyz987"},
	{"a token in a query", "https://example.com/?x=1&access_token=hunter2hunter2#y", "hunter2"},
	{"a signed URL", "https://s3/x?X-Amz-Signature=deadbeef4711&x=1", "deadbeef"},
	{"an environment", "export MY_API_KEY='hunter2 with space'", "with space"},
	{"a JSON config", `{"client_secret": "hunter2\"quoted", "x": 1}`, "quoted"},
	{"JSON in a string", `{\"password\":\"hunter2\",\"x\":1}`, "hunter2"},
	{"yaml", "  db_password: hunter2,more", "more"},
	{"a flag", "psql --password hunter2 --host x", "hunter2"},
	{"a TURN password", `"credential":"uDkjH+2v3rLxk0jVJ4Zl7Q3m9s8="`, "uDkjH"},
	{"a private key", "before\n" + pem + "\nafter", "QUJDREVG"},
	{"a private key with a log's prefix", strings.ReplaceAll("x "+pem, "\n", "\n[12:00] key.pem | "), "QUJDREVG"},
	{"a private key in one line", strings.ReplaceAll(pem, "\n", `\n`), "QUJDREVG"},
	{"a private key whose end is not there yet", strings.TrimSuffix(pem, "-----END RSA PRIVATE KEY-----"), "QUJDREVG"},
	{"an encrypted one, likewise", "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00FF\n\nQUJDREVGR0hJSktMTU5PUFFS\nQUJD\n", "QUJDREVG"},
	{"a private key whose beginning was cut off", "QUJDREVGR0hJSktMTU5PUFFS\nR0hJSktMTU5PUFFS\n-----END PRIVATE KEY-----\nafter", "R0hJSktM"},
}

func TestSecretsAreTakenOut(t *testing.T) {
	for _, c := range planted {
		t.Run(strings.ReplaceAll(c.name, " ", "_"), func(t *testing.T) {
			if !strings.Contains(strings.NewReplacer("\x1b[31m", "", "\x1b[0m", "").Replace(c.text), c.secret) {
				t.Fatal("the test plants nothing")
			}
			got := string(Redact([]byte(c.text)))
			if strings.Contains(got, c.secret) || !strings.Contains(got, Redacted) {
				t.Errorf("left as %q", got)
			}
			if again := string(Redact([]byte(got))); strings.Contains(again, c.secret) {
				t.Errorf("once more: %q", again)
			}
		})
	}
}

func TestWhatIsNoSecretStays(t *testing.T) {
	for _, text := range []string{
		"Out of memory: Killed process 812 (chromium) total-vm:33554432kB, anon-rss:201432kB",
		"[    0.000000] Linux version 6.12.94 (debian-kernel@lists.debian.org)",
		"Kernel panic - not syncing: System is deadlocked on memory",
		"sha256:61ab30c7bd2049e816e1663da9d8b8104f2470c5461e8f6fbcadb47dc9621e2b",
		"ses_06h0m61e3kazhpd70j25v1sndg mch_06h0m61e3kazhpd70j25v1sndg",
		"the disk-cache-directory and the task-manager",
		"https://example.com/path?page=2&lang=en#top",
		"keyboard layout: us; monkey: business",
		"author: Ada; basic settings; the bearer of news",
		"mail to ada@example.com: see http://example.com/@ada",
		"-----",
		"",
	} {
		if got := string(Redact([]byte(text))); got != text {
			t.Errorf("%q\nbecame\n%q", text, got)
		}
	}
}

func TestKnownValuesAreFoundInEveryForm(t *testing.T) {
	secret := "p&ss w/rd+4711?x"
	b := []byte(secret)
	for _, form := range []string{
		secret, url.QueryEscape(secret), url.PathEscape(secret), hex.EncodeToString(b),
		base64.StdEncoding.EncodeToString(b), base64.RawURLEncoding.EncodeToString(b), "p&ss\x1b[1m w/rd\x00+4711?x",
	} {
		got := string(Redact([]byte("a "+form+" b"), "x", secret))
		if got != "a "+Redacted+" b" {
			t.Errorf("%q became %q", form, got)
		}
	}
}

func TestTheBeginningOfAKnownValueIsEnough(t *testing.T) {
	secret := strings.Repeat("0123456789abcdef", 4)
	for n := cutValue; n <= len(secret); n++ {
		if got := string(Redact([]byte("x "+secret[:n]+"… y"), secret)); got != "x "+Redacted+"… y" {
			t.Fatalf("of %d bytes is left %q", n, got)
		}
	}
}

func TestACutLeavesNoHalfOfASecret(t *testing.T) {
	text := []byte("first line sk-ant-api03-AAAAbbbbCCCC\nsecond line\n")
	for n := 1; n < len(text); n++ {
		if got := tail(text, n, true); bytes.Contains(got, []byte("CCCC")) {
			t.Fatalf("the last %d bytes: %q", n, got)
		}
	}
	if got := tail([]byte(strings.Repeat("x", 3*longestLine)), 2*longestLine, false); len(got) != longestLine {
		t.Errorf("of one long line %d bytes are left", len(got))
	}
	if got := tail(text, len(text), true); !bytes.Equal(got, text) {
		t.Errorf("what was not cut is %q", got)
	}
}

// Whatever stands around a secret, it is found; and nothing makes a text grow
// without bounds.
func FuzzRedact(f *testing.F) {
	for _, c := range planted {
		f.Add([]byte(c.text), []byte("\n"))
	}
	f.Add([]byte("password=\""), []byte("\x1b["))
	f.Add([]byte("-----BEGIN "), []byte("-----END "))
	f.Add(bytes.Repeat([]byte("?a@://"), 40), []byte("\xff\xfe"))
	const known, formed = "Zq7-known-value-Zq7", "sk-ant-api03-Zq7xZq7yZq7z"
	f.Fuzz(func(t *testing.T, before, after []byte) {
		for _, secret := range []string{known, formed} {
			text := append(append(bytes.Clone(before), secret...), after...)
			kept := bytes.Clone(text)
			got := Redact(text, known)
			if bytes.Contains(got, []byte(secret)) && !bytes.Contains(before, []byte(secret)) {
				t.Errorf("%q is left in %q", secret, got)
			}
			if !bytes.Equal(text, kept) {
				t.Error("the text itself was changed")
			}
			if len(got) > len(text)+(len(text)+1)*len(Redacted) {
				t.Errorf("%d bytes became %d", len(text), len(got))
			}
			clean(got, 10, 100)
		}
	})
}
