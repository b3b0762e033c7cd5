// Package web is the page of Vitrine as part of the daemon's binary.
//
// The page is built by Vite into dist/ and embedded from there; Handler serves
// it. A build without the page (a plain `go build` of a fresh checkout) embeds
// only dist/.gitkeep, and Handler then says so instead of answering with
// nothing. In development Handler passes requests on to a running Vite server,
// so that the page and the API share one origin, as in a release: cookies and
// the daemon's Origin check are the same in both.
//
// The package serves bytes that were fixed at build time and knows nothing of
// sessions or users. It must not read the host's files, and it must not answer
// for the routes of the API: whoever wires it mounts those first.
package web

import (
	"embed"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
)

//go:embed all:dist
var embedded embed.FS

// Handler serves the page. With devProxy, the URL of a Vite server such as
// http://localhost:5173, it passes everything on to that. It panics on a URL
// that cannot be parsed: the configuration checks it first.
func Handler(devProxy string) http.Handler {
	if devProxy != "" {
		return proxy(devProxy)
	}
	dist, err := fs.Sub(embedded, "dist")
	if err != nil {
		panic(err) // the directory is there at compile time, or go:embed fails
	}
	return handler(dist)
}

func proxy(target string) http.Handler {
	u, err := url.Parse(target)
	if err != nil {
		panic(fmt.Sprintf("web: development proxy %q: %v", target, err))
	}
	p := httputil.NewSingleHostReverseProxy(u)
	p.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, err error) {
		message := fmt.Sprintf("The page's development server at %s does not answer (%v): run `make dev`.\n", target, err)
		http.Error(w, message, http.StatusBadGateway)
	}
	return p
}

// apiPaths are the first path elements that belong to the API and its like. An
// unknown path below one of them is a caller's mistake and gets 404, not the
// page.
var apiPaths = []string{"/v1", "/api", "/health", "/metrics", "/version"}

func handler(dist fs.FS) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "the page is only read", http.StatusMethodNotAllowed)
			return
		}
		for _, p := range apiPaths {
			if r.URL.Path == p || strings.HasPrefix(r.URL.Path, p+"/") {
				http.NotFound(w, r)
				return
			}
		}
		name := strings.TrimPrefix(r.URL.Path, "/")
		if !servable(dist, name) {
			// A file that is gone after an upgrade must not become a page: a
			// browser would try to run it.
			if strings.HasPrefix(name, "assets/") {
				http.NotFound(w, r)
				return
			}
			name = "index.html" // a route of the page itself
		}
		if !servable(dist, name) {
			http.Error(w, "web UI not built: run make", http.StatusNotFound)
			return
		}
		serve(w, r, dist, name)
	})
}

// servable says whether name is a file of the page that may be asked for.
func servable(dist fs.FS, name string) bool {
	if !fs.ValidPath(name) || strings.HasPrefix(name, ".") || strings.HasSuffix(name, ".gz") {
		return false
	}
	info, err := fs.Stat(dist, name)
	return err == nil && info.Mode().IsRegular()
}
