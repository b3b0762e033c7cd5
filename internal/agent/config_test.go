package agent

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vitrine-dev/vitrine/internal/agentproto"
)

const goodConfig = `{"machine_id":"mch_1","session_id":"ses_1","secret":"0123456789abcdef","kind":"desktop","width":1280,"height":720,"start_url":"https://example.com/?q=1#x"}`

func TestConfig(t *testing.T) {
	set := func(field, value string) string {
		// JSON's last field of a name is the one that counts.
		return strings.TrimSuffix(goodConfig, "}") + `,"` + field + `":` + value + "}"
	}
	for _, tt := range []struct{ name, config, wants string }{
		{"a whole one", goodConfig, ""},
		{"fields of a newer daemon", set("later", `{"a":1}`), ""},
		{"no screen size", `{"secret":"0123456789abcdef","kind":"terminal"}`, ""},
		{"a data page", set("start_url", `"data:text/html,<h1>x</h1>"`), ""},
		{"about:blank in capitals", set("start_url", `"ABOUT:BLANK"`), ""},
		{"not JSON", `{`, "not JSON"},
		{"empty", ``, "not JSON"},
		{"a field of the wrong type", set("width", `"wide"`), "not JSON of the right form"},
		{"a short secret", set("secret", `"x"`), "secret"},
		{"a kind that is none", set("kind", `"laptop"`), "kind"},
		{"a screen of no width", set("width", `0`), "size"},
		{"a screen too high", set("height", `99999`), "size"},
		{"a negative uid", set("uid", `-1`), "uid"},
		{"a relative directory", set("dir", `"run"`), "dir"},
		{"a start URL that is a flag", set("start_url", `"--no-sandbox"`), "start_url"},
		{"a start URL that is a flag with a colon", set("start_url", `"--proxy-server=http://x"`), "start_url"},
		{"a file", set("start_url", `"file:///etc/passwd"`), "start_url"},
		{"a script", set("start_url", `"javascript:alert(1)"`), "start_url"},
		{"Chromium's own pages", set("start_url", `"chrome://settings"`), "start_url"},
		{"http without a host", set("start_url", `"http:/x"`), "start_url"},
		{"a URL with a line break", set("start_url", `"https://x/\n--y"`), "start_url"},
		{"a URL of a megabyte", set("start_url", `"data:,`+strings.Repeat("x", 1<<20)+`"`), "more than"},
		{"a URL that no argument holds", set("start_url", `"data:,`+strings.Repeat("x", 200<<10)+`"`), "start_url"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, err := ParseConfig([]byte(tt.config))
			switch {
			case tt.wants == "" && err != nil:
				t.Fatal(err)
			case tt.wants == "":
				if c.UID != defaultUser || c.GID != defaultUser || c.Dir != agentproto.Dir || checkSize(c.Width, c.Height) != nil {
					t.Errorf("defaults: %d %d %s %dx%d", c.UID, c.GID, c.Dir, c.Width, c.Height)
				}
			case err == nil:
				t.Fatal("it was taken")
			case !strings.Contains(err.Error(), tt.wants):
				t.Errorf("the error is %q, which does not name %q", err, tt.wants)
			}
			if err != nil && strings.Contains(err.Error(), "0123456789abcdef") {
				t.Errorf("the error tells the secret: %v", err)
			}
		})
	}
}

func TestAConfigThatIsALinkOrADirectoryIsRefused(t *testing.T) {
	dir := t.TempDir()
	real, link := filepath.Join(dir, "real"), filepath.Join(dir, "link")
	if err := os.WriteFile(real, []byte(goodConfig), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(real, link); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadConfig(real); err != nil {
		t.Error(err)
	}
	for _, path := range []string{link, dir, "/dev/zero", filepath.Join(dir, "none")} {
		if _, err := LoadConfig(path); err == nil {
			t.Errorf("%s was taken", path)
		}
	}
}

func FuzzConfig(f *testing.F) {
	f.Add([]byte(goodConfig))
	f.Add([]byte(`{"secret":"0123456789abcdef","kind":"terminal","network":{"dns":["1.1.1.1"]}}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := ParseConfig(data)
		if err != nil {
			return
		}
		if strings.HasPrefix(c.StartURL, "-") || strings.ContainsAny(c.StartURL, "\x00\n") || checkSize(c.Width, c.Height) != nil || c.UID <= 0 || len(c.Secret) < 16 {
			t.Fatalf("taken: %+v", c)
		}
	})
}
