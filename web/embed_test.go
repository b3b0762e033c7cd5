package web

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"
)

func built() fstest.MapFS {
	file := func(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s)} }
	return fstest.MapFS{
		".gitkeep":               file(""),
		"index.html":             file("<!doctype html>page"),
		"index.html.gz":          file("packed page"),
		"favicon.svg":            file("<svg/>"),
		"assets/main-1a2b.js":    file("script"),
		"assets/main-1a2b.css":   file("style"),
		"assets/main-1a2b.js.gz": file("packed script"),
	}
}

func get(t *testing.T, h http.Handler, method, path string, header ...string) (*http.Response, string) {
	t.Helper()
	r := httptest.NewRequest(method, path, nil)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	res := w.Result()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(body)
}

func TestPage(t *testing.T) {
	const forever, check = "public, max-age=31536000, immutable", "no-cache"
	for _, c := range []struct {
		name, method, path, accept string
		status                     int
		body, contentType, cache   string
		encoding                   string
	}{
		{"the front page", "GET", "/", "", 200, "<!doctype html>page", "text/html; charset=utf-8", check, ""},
		{"a reload within the page's own route", "GET", "/sessions/ses_1", "", 200, "<!doctype html>page", "text/html; charset=utf-8", check, ""},
		{"a route with a dot in it", "GET", "/view/a.b", "", 200, "<!doctype html>page", "text/html; charset=utf-8", check, ""},
		{"the front page, packed", "GET", "/", "gzip, br", 200, "packed page", "text/html; charset=utf-8", check, "gzip"},
		{"a browser that refuses gzip", "GET", "/", "gzip;q=0, br", 200, "<!doctype html>page", "text/html; charset=utf-8", check, ""},
		{"a hashed script stays cached", "GET", "/assets/main-1a2b.js", "gzip", 200, "packed script", "text/javascript; charset=utf-8", forever, "gzip"},
		{"a file without a packed copy", "GET", "/assets/main-1a2b.css", "gzip", 200, "style", "text/css; charset=utf-8", forever, ""},
		{"the icon", "GET", "/favicon.svg", "", 200, "<svg/>", "image/svg+xml", check, ""},
		{"only the header", "HEAD", "/", "", 200, "", "text/html; charset=utf-8", check, ""},
		{"a script of the version before an upgrade", "GET", "/assets/main-0000.js", "", 404, "404 page not found\n", "", "", ""},
		{"a mistyped API route is no page", "GET", "/v1/sesions", "", 404, "404 page not found\n", "", "", ""},
		{"the bare API prefix", "GET", "/api", "", 404, "404 page not found\n", "", "", ""},
		{"what only begins like one", "GET", "/versions", "", 200, "<!doctype html>page", "text/html; charset=utf-8", check, ""},
		{"posting to the page", "POST", "/", "", 405, "the page is only read\n", "", "", ""},
		{"hidden files", "GET", "/.gitkeep", "", 200, "<!doctype html>page", "text/html; charset=utf-8", check, ""},
		{"packed copies by name", "GET", "/index.html.gz", "", 200, "<!doctype html>page", "text/html; charset=utf-8", check, ""},
		{"a way out of the directory", "GET", "/../embed.go", "", 200, "<!doctype html>page", "text/html; charset=utf-8", check, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			res, body := get(t, handler(built()), c.method, c.path, "Accept-Encoding", c.accept)
			if res.StatusCode != c.status || body != c.body {
				t.Errorf("got %d %q, want %d %q", res.StatusCode, body, c.status, c.body)
			}
			for header, want := range map[string]string{"Content-Type": c.contentType, "Cache-Control": c.cache, "Content-Encoding": c.encoding} {
				if got := res.Header.Get(header); c.status == 200 && got != want {
					t.Errorf("%s: got %q, want %q", header, got, want)
				}
			}
		})
	}
}

func TestPageNotBuilt(t *testing.T) {
	res, body := get(t, handler(fstest.MapFS{".gitkeep": {}}), "GET", "/")
	if res.StatusCode != 404 || !strings.Contains(body, "web UI not built: run make") {
		t.Errorf("got %d %q", res.StatusCode, body)
	}
}

func TestUnchangedPageIsNotSentAgain(t *testing.T) {
	first, _ := get(t, handler(built()), "GET", "/")
	res, body := get(t, handler(built()), "GET", "/", "If-None-Match", first.Header.Get("ETag"))
	if res.StatusCode != http.StatusNotModified || body != "" {
		t.Errorf("got %d %q, want 304", res.StatusCode, body)
	}
}

func TestPageMayOnlyLoadItsOwn(t *testing.T) {
	res, _ := get(t, handler(built()), "GET", "/")
	for header, want := range map[string]string{"Content-Security-Policy": "default-src 'self'", "X-Content-Type-Options": "nosniff"} {
		if !strings.Contains(res.Header.Get(header), want) {
			t.Errorf("%s is %q", header, res.Header.Get(header))
		}
	}
}

func TestDevelopmentPassesOn(t *testing.T) {
	vite := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "vite "+r.URL.Path)
	}))
	_, body := get(t, Handler(vite.URL), "GET", "/src/main.tsx")
	if body != "vite /src/main.tsx" {
		t.Errorf("got %q", body)
	}
	vite.Close()
	res, body := get(t, Handler(vite.URL), "GET", "/")
	if res.StatusCode != http.StatusBadGateway || !strings.Contains(body, "make dev") {
		t.Errorf("without Vite: got %d %q", res.StatusCode, body)
	}
}
