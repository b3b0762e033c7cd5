package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/vitrine-dev/vitrine"
)

// measuredName is the file beside an image's tree that holds what was found out
// about it on this host. It is no part of the digest: another host may find
// another figure, and a wrong one is put right by measuring again.
const measuredName = "measured.json"

// measured is measured.json.
type measured struct {
	// Least is the least memory in MiB by runtime.
	Least map[string]leastMemory `json:"least_memory"`
}

type leastMemory struct {
	MB int       `json:"mb"`
	At time.Time `json:"at"`
}

// Measured notes the least memory, in MiB, at which machines of the image were
// seen to become ready in a runtime on this host. From then on it is what
// sessions in that runtime are held to.
func (s *Store) Measured(ctx context.Context, img vitrine.Image, runtime string, mb int) error {
	hex, ok := s.hexOf(img)
	if !ok {
		return missing(img.Digest, 0, nil)
	}
	if mb < 1 || mb > vitrine.MaxMemoryMB {
		return fmt.Errorf("note the least memory of image %s: %d MiB is outside 1..%d", img.Ref, mb, vitrine.MaxMemoryMB)
	}
	unlock, err := s.lock(ctx, func() {})
	if err != nil {
		return err
	}
	defer unlock()
	m, err := s.loadMeasured(hex)
	if err != nil {
		m = measured{} // damaged: it is made again
	}
	if m.Least == nil {
		m.Least = map[string]leastMemory{}
	}
	m.Least[runtime] = leastMemory{MB: mb, At: time.Now().UTC()}
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	if err := writeFile(filepath.Join(s.dir, hex, measuredName), append(text, '\n')); err != nil {
		return fmt.Errorf("note the least memory of image %s: %w", img.Ref, err)
	}
	return nil
}

// loadMeasured reads measured.json; nothing when there is none.
func (s *Store) loadMeasured(hex string) (m measured, err error) {
	text, err := readBounded(filepath.Join(s.dir, hex, measuredName), 64<<10)
	if errors.Is(err, fs.ErrNotExist) {
		return m, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &m)
	}
	for runtime, l := range m.Least {
		if l.MB < 1 || l.MB > vitrine.MaxMemoryMB {
			delete(m.Least, runtime)
		}
	}
	return m, err
}

// leastMB is what was measured, by runtime; nil when nothing was.
func (s *Store) leastMB(hex string) map[string]int {
	m, err := s.loadMeasured(hex)
	if err != nil || len(m.Least) == 0 {
		return nil
	}
	least := make(map[string]int, len(m.Least))
	for runtime, l := range m.Least {
		least[runtime] = l.MB
	}
	return least
}
