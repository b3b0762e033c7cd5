package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// maxPreferences bounds Chromium's preferences file in bytes; a used one has
// some 50 KiB.
const maxPreferences = 8 << 20

// prepareProfile makes the profile one that Chromium opens without a question:
// locks of a Chromium that was killed, perhaps in another machine, are removed,
// and its last end is called a normal one. No Chromium runs meanwhile.
func (d *desktop) prepareProfile() error {
	dir := d.profileDir()
	err := d.place.remove(
		filepath.Join(dir, "SingletonLock"), filepath.Join(dir, "SingletonSocket"), filepath.Join(dir, "SingletonCookie"),
	)
	if err != nil {
		return fmt.Errorf("clean the browser's profile: %w", err)
	}
	path := filepath.Join(dir, "Default", "Preferences")
	old, err := d.place.read(path, maxPreferences)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the browser's preferences: %w", err)
	}
	fixed, ok := endedNormally(old)
	if !ok {
		return nil // Chromium itself deals with a broken file: it starts a new one
	}
	return d.place.write(path, fixed)
}

// endedNormally sets profile.exit_type in preferences and leaves the rest byte
// for byte; ok is false when there is nothing to set, or nothing to read.
func endedNormally(preferences []byte) (fixed []byte, ok bool) {
	var all, profile map[string]json.RawMessage
	if json.Unmarshal(preferences, &all) != nil || json.Unmarshal(all["profile"], &profile) != nil || profile == nil {
		return nil, false
	}
	if string(profile["exit_type"]) == `"Normal"` {
		return nil, false
	}
	profile["exit_type"] = json.RawMessage(`"Normal"`)
	profile["exited_cleanly"] = json.RawMessage(`true`)
	raw, err := json.Marshal(profile)
	if err != nil {
		return nil, false
	}
	all["profile"] = raw
	fixed, err = json.Marshal(all)
	return fixed, err == nil
}
