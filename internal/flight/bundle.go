package flight

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"slices"
	"time"

	"github.com/vitrine-dev/vitrine"
)

// Bounds of what goes into a bundle, in bytes before it is packed. Without the
// screenshot they stay under MaxBundle even if nothing of it can be packed.
const (
	maxConsole    = 256 << 10
	maxLog        = vitrine.MaxMachineLog
	maxLogs       = 6
	maxJSON       = 128 << 10 // of each file
	maxScreenshot = 2 << 20   // a full HD photograph
	maxSummary    = 64 << 10
)

// file is one file of a bundle.
type file struct {
	name string
	data []byte
}

// compose lays out a bundle's files, without secrets.
func compose(r vitrine.FlightRecord, host hostFigures, d Daemon, hide redactor) []file {
	files := []file{{"summary.txt", nil}}
	missing := slices.Clone(r.Missing)
	add := func(name string, data []byte) {
		if len(data) > 0 {
			files = append(files, file{name, data})
		}
	}
	for _, j := range []struct {
		name  string
		value any
	}{
		{"failure.json", r.Session.Failure},
		{"session.json", sessionOf(r.Session)},
		{"ledger.json", ledgerOf(r.Ledger)},
		{"agent.json", agentOf(r)},
		{"machine.json", machineOf(r.Status)},
		{"host.json", host},
		{"daemon.json", d},
	} {
		b, err := hide.json(j.value)
		switch {
		case err != nil:
			missing = append(missing, j.name+": "+err.Error())
		case len(b) > maxJSON:
			missing = append(missing, fmt.Sprintf("%s: it has %d bytes", j.name, len(b)))
		case !bytes.Equal(b, []byte("null\n")):
			add(j.name, b)
		}
	}
	console := hide.text(tail(r.Console, maxConsole, len(r.Console) < maxConsole))
	add("console.log", tail(console, maxConsole, true))
	for i, l := range r.Logs {
		if i == maxLogs || !plainName(l.Name) {
			missing = append(missing, fmt.Sprintf("logs: %d more, or one of an odd name", len(r.Logs)-i))
			break
		}
		text := hide.text(tail(l.Data, maxLog, len(l.Data) < maxLog))
		add("logs/"+l.Name, tail(text, maxLog, true))
	}
	if len(r.Screenshot) > 0 {
		png, err := bare(r.Screenshot)
		switch {
		case err != nil:
			missing = append(missing, "screenshot: "+err.Error())
		case len(png) > maxScreenshot:
			missing = append(missing, fmt.Sprintf("screenshot: it has %d bytes", len(png)))
		default:
			add("screenshot.png", png)
		}
	}
	files[0].data = summary(r, console, files, missing, d, hide)
	return files
}

// plainName says whether a log's name is one that any system can unpack.
func plainName(s string) bool {
	for i, c := range []byte(s) {
		alnum := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !alnum && (i == 0 || c != '.' && c != '-' && c != '_') {
			return false
		}
	}
	return s != "" && len(s) <= 64
}

// pack makes the gzipped tar. All files lie in one directory, mode 0600.
func pack(dir string, files []file, at time.Time) ([]byte, error) {
	var out bytes.Buffer
	// Speed: thirty may fail at once, beside desktops that somebody looks at.
	zip, err := gzip.NewWriterLevel(&out, gzip.BestSpeed)
	if err != nil {
		return nil, err
	}
	t := tar.NewWriter(zip)
	for _, f := range files {
		h := &tar.Header{Name: dir + "/" + f.name, Mode: 0o600, Size: int64(len(f.data)), ModTime: at.UTC().Truncate(time.Second)}
		if err := t.WriteHeader(h); err != nil {
			return nil, fmt.Errorf("packing %s: %w", f.name, err)
		}
		if _, err := t.Write(f.data); err != nil {
			return nil, fmt.Errorf("packing %s: %w", f.name, err)
		}
	}
	if err := t.Close(); err != nil {
		return nil, err
	}
	if err := zip.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}
