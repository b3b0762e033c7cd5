package flight

import "regexp"

// rule finds secrets of one form. It is tried on the lines that hold one of its
// triggers, which are in lower case: most lines hold none, and looking for those
// is far cheaper than the expression. What is taken is the first group that
// matched, or all of it where there is no group.
type rule struct {
	triggers []string
	find     *regexp.Regexp
	wraps    bool // a terminal may have broken it over several lines
}

// token is a credential that is known by how it begins. It needs no boundary
// before it: text glued to a secret does not make it less of one.
func token(trigger, expr string) rule {
	return rule{[]string{trigger}, regexp.MustCompile(expr), true}
}

// named matches a name that says its value is a secret.
const named = `[a-z0-9_.-]*(?:secret|passw|passphrase|pwd|token|[_-]key\b|apikey|accesskey|privatekey|auth\b|oauth|credential|ticket|cookie|signature)[a-z0-9_.-]*`

var rules = []rule{
	// The forms that their makers publish for scanners of leaked secrets.
	token("sk-ant-", `sk-ant-[A-Za-z0-9_-]{8,}`),
	token("sk-", `\bsk-[A-Za-z0-9_-]{16,}`),
	token("gh", `gh[pousr]_[A-Za-z0-9]{16,}`),
	token("github_pat_", `github_pat_[A-Za-z0-9_]{16,}`),
	token("glpat-", `glpat-[A-Za-z0-9_-]{16,}`),
	token("xox", `xox[abeoprs]-[A-Za-z0-9-]{10,}`),
	token("akia", `AKIA[0-9A-Z]{12,}`),
	token("asia", `ASIA[0-9A-Z]{12,}`),
	token("aiza", `AIza[0-9A-Za-z_-]{30,}`),
	token("ya29.", `ya29\.[0-9A-Za-z_-]{16,}`),
	token("npm_", `npm_[A-Za-z0-9]{30,}`),
	token("hf_", `hf_[A-Za-z0-9]{30,}`),
	token("k_live_", `[rs]k_live_[0-9A-Za-z]{10,}`),
	token("k_test_", `[rs]k_test_[0-9A-Za-z]{10,}`),
	// A JSON Web Token (RFC 7519), signed, encrypted or bare: its header is JSON,
	// which begins with {" and so with eyJ.
	token("eyj", `eyJ[A-Za-z0-9_-]{6,}(?:\.[A-Za-z0-9_-]*)+`),
	// Our own keys, tickets, links and cookies (httpapi).
	token("vt", `vt[rklc]_[A-Za-z0-9_-]{16,}`),

	// Headers: everything to the line's end, for schemes have quotes, commas and
	// spaces of their own.
	{[]string{"authorization"}, regexp.MustCompile(`(?i)authorization\\?["']?\s*[:=]\s*(\S[^\n]*)`), false},
	{[]string{"cookie"}, regexp.MustCompile(`(?i)cookie2?\\?["']?\s*[:=]\s*(\S[^\n]*)`), false},
	{[]string{"bearer", "basic"}, regexp.MustCompile(`(?i)\b(?:bearer\s+([A-Za-z0-9._~+/=-]{8,})|basic\s+([A-Za-z0-9+/]{12,}={0,2}))`), false},

	// URLs (RFC 3986): the user's part, also with an @ that should have been
	// escaped, and the parameters that carry secrets.
	{[]string{"://"}, regexp.MustCompile(`://([^\s/?#"'<>]*)@`), false},
	{[]string{"?", "&", "#", ";"}, regexp.MustCompile(`(?i)[?&#;](?:code|state|key|sig|sign|hash|pass|auth|resume|otp|nonce|assertion|samlresponse|samlrequest|jwt|sid|x-amz-[a-z-]+)=([^\s"'&#;<>\\]+)`), false},

	// NAME=VALUE, name: value, "name": "value", and the same inside a string.
	{
		[]string{"secret", "passw", "passphrase", "pwd", "token", "key", "auth", "credential", "ticket", "cookie", "signature"},
		regexp.MustCompile(`(?i)` + named + `\\*["']?\s*[=:]+\s*(?:\\*"((?:[^"\\]|\\.)+)|\\*'((?:[^'\\]|\\.)+)|([^\s"'&<>]+))`), false,
	},
	// --password VALUE.
	{[]string{"--"}, regexp.MustCompile(`(?i)--` + named + `\s+([^\s"']+)`), false},
}

// secretName says that what has this name is a secret, whatever it looks like.
var secretName = regexp.MustCompile(`(?i)^` + named + `$`)
