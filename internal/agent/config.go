package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"syscall"

	"github.com/vitrine-dev/vitrine/internal/agentproto"
)

// maxConfig bounds config.json in bytes; a start URL is the longest thing in it.
const maxConfig = 1 << 20

// maxStartURL bounds the start URL: Linux passes one argument of at most
// 128 KiB (MAX_ARG_STRLEN), and Chromium's own bound of a typed URL is 2 MiB.
const maxStartURL = 96 << 10

// Bounds of the screen in pixels, as the domain's viewport has them.
const (
	minWidth, maxWidth   = 320, 3840
	minHeight, maxHeight = 240, 2160
)

// defaultUser is the desktop user's uid and gid when the config says none.
const defaultUser = 1000

// kinds of machines.
const (
	kindDesktop  = "desktop"
	kindTerminal = "terminal"
)

// LoadConfig reads and checks the config at path: an error names the field, and
// never holds the secret.
func LoadConfig(path string) (agentproto.Config, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return agentproto.Config{}, fmt.Errorf("open the agent's config: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return agentproto.Config{}, fmt.Errorf("look at the agent's config: %w", err)
	}
	if !info.Mode().IsRegular() {
		return agentproto.Config{}, fmt.Errorf("the agent's config %s is not a regular file", path)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxConfig+1))
	if err != nil {
		return agentproto.Config{}, fmt.Errorf("read the agent's config: %w", err)
	}
	return ParseConfig(data)
}

// ParseConfig reads and checks a config. Fields it does not know are left
// alone: a machine outlives the daemon that wrote its config.
func ParseConfig(data []byte) (agentproto.Config, error) {
	var c agentproto.Config
	if len(data) > maxConfig {
		return c, fmt.Errorf("the agent's config has more than %d bytes", maxConfig)
	}
	if err := json.Unmarshal(data, &c); err != nil {
		// A syntax error quotes at most a character, a type error a field.
		return agentproto.Config{}, fmt.Errorf("the agent's config is not JSON of the right form: %w", err)
	}
	if err := checkConfig(&c); err != nil {
		return agentproto.Config{}, err
	}
	return c, nil
}

func checkConfig(c *agentproto.Config) error {
	if len(c.Secret) < 16 || len(c.Secret) > 1024 {
		return errors.New("secret: must have 16 to 1024 bytes")
	}
	if c.Kind != kindDesktop && c.Kind != kindTerminal {
		return fmt.Errorf("kind: %.32q is neither desktop nor terminal", c.Kind)
	}
	if c.Width == 0 && c.Height == 0 {
		c.Width, c.Height = 1280, 720
	}
	if err := checkSize(c.Width, c.Height); err != nil {
		return err
	}
	if c.UID < 0 || c.GID < 0 {
		return errors.New("uid, gid: must not be negative")
	}
	if c.UID == 0 {
		c.UID = defaultUser
	}
	if c.GID == 0 {
		c.GID = c.UID
	}
	if c.Dir == "" {
		c.Dir = agentproto.Dir
	}
	if !strings.HasPrefix(c.Dir, "/") || strings.ContainsRune(c.Dir, 0) {
		return fmt.Errorf("dir: %.64q is not an absolute path", c.Dir)
	}
	return checkStartURL(c.StartURL)
}

func checkSize(w, h int) error {
	if w < minWidth || w > maxWidth || h < minHeight || h > maxHeight {
		return fmt.Errorf("size: %dx%d is not between %dx%d and %dx%d", w, h, minWidth, minHeight, maxWidth, maxHeight)
	}
	return nil
}

// checkStartURL lets through what Chromium may be started with: "" or a URL of
// a harmless scheme. Anything that could be read as a flag is refused.
func checkStartURL(s string) error {
	if s == "" {
		return nil
	}
	if len(s) > maxStartURL {
		return fmt.Errorf("start_url: has %d bytes, at most %d", len(s), maxStartURL)
	}
	if strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return errors.New("start_url: has a control character")
	}
	scheme, rest, found := strings.Cut(s, ":")
	if !found {
		return errors.New("start_url: has no scheme; http, https, about and data are allowed")
	}
	switch strings.ToLower(scheme) {
	case "about", "data":
		return nil
	case "http", "https":
		u, err := url.Parse(s)
		if err != nil || u.Host == "" || !strings.HasPrefix(rest, "//") {
			return errors.New("start_url: is not a whole http or https URL")
		}
		return nil
	}
	return fmt.Errorf("start_url: scheme %.16q is not allowed; http, https, about and data are", scheme)
}
