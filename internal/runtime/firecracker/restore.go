package firecracker

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/internal/agentproto"
	"github.com/vitrine-dev/vitrine/internal/runtime/firecracker/api"
	"github.com/vitrine-dev/vitrine/internal/runtime/shim"
	"github.com/vitrine-dev/vitrine/internal/runtime/supervised"
	"github.com/vitrine-dev/vitrine/internal/runtime/vm"
)

// restoreFile, in a machine's directory, names the snapshot that the machine is
// started from. It stays, so that a start that was cut short begins anew from it.
const restoreFile = "restore.json"

type restore struct {
	From string `json:"from"`
}

// Restore implements vitrine.Snapshotter.
func (r *Runtime) Restore(ctx context.Context, spec vitrine.MachineSpec, dir string) error {
	if err := r.driver.fits(spec, dir); err != nil {
		return fmt.Errorf("restoring machine %s: %w", spec.ID, err)
	}
	if err := r.Create(ctx, spec); err != nil {
		return err
	}
	err := r.With(ctx, spec.ID, func(_ vitrine.MachineSpec, m supervised.Machine, st vitrine.MachineState) error {
		if st != vitrine.MachineCreated || m.Dir.Has(restoreFile) {
			return nil // done before, or Start says why not
		}
		return m.Dir.Write(restoreFile, restore{From: dir})
	})
	if err != nil {
		return fmt.Errorf("restoring machine %s: %w", spec.ID, err)
	}
	return r.Start(ctx, spec.ID)
}

// fits says whether a machine can be made of a snapshot: it is whole, of this
// host, and of what spec asks for.
func (d *driver) fits(spec vitrine.MachineSpec, dir string) error {
	man, err := readManifest(dir)
	if err != nil {
		return err
	}
	cpu, err := processor(d.cfg.CPUConfig)
	if err != nil {
		return err
	}
	for _, c := range []struct {
		same bool
		what string
	}{
		{man.Version == manifestVersion, "is of another version of Vitrine"},
		{man.Processor == cpu, "was taken on another processor"},
		{man.ImageDigest == spec.ImageDigest, "is of another image"},
		{man.VCPU == spec.VCPU, fmt.Sprintf("has %d vCPU, not %d", man.VCPU, spec.VCPU)},
		{man.MemoryBytes == spec.MemoryBytes, fmt.Sprintf("has %d MiB of memory, not %d", man.MemoryBytes>>20, spec.MemoryBytes>>20)},
	} {
		if !c.same {
			return vitrine.Errorf(vitrine.ClassConflict, "snapshot_unfit", "the snapshot %s", c.what).
				WithRemedy("take a new snapshot of a machine like the one that is wanted")
		}
	}
	for name, want := range man.Digests {
		got, err := d.digests.of(filepath.Join(dir, filepath.Base(name)))
		if err != nil {
			return corrupt("reading the snapshot's %s: %v", name, err)
		}
		if got != want {
			return corrupt("the snapshot's %s has the digest %.12s…, expected %.12s…", name, got, want)
		}
	}
	return nil
}

func corrupt(format string, args ...any) error {
	return vitrine.NewFailure(vitrine.FailImageCorrupt, nil, format, args...).AsError().
		WithRemedy("remove the snapshot and take a new one")
}

// maxManifest bounds a manifest in bytes.
const maxManifest = 64 << 10

func readManifest(dir string) (manifest, error) {
	var man manifest
	text, err := os.ReadFile(filepath.Join(dir, snapManifest))
	if errors.Is(err, fs.ErrNotExist) {
		return man, vitrine.Errorf(vitrine.ClassNotFound, "not_found", "there is no snapshot at the place named")
	}
	if err != nil {
		return man, corrupt("reading the snapshot's manifest: %v", err)
	}
	if len(text) > maxManifest || json.Unmarshal(text, &man) != nil { // its error may quote the secret
		return man, corrupt("the snapshot's manifest cannot be read")
	}
	for _, name := range []string{snapState, snapMemory, snapDisk, snapAgent} {
		if man.Digests[name] == "" && man.Version == manifestVersion {
			return man, corrupt("the snapshot's manifest has no digest of %s", name)
		}
	}
	return man, nil
}

// restoring gives the snapshot that a machine is started from, "" for none.
func restoring(m supervised.Machine) (string, error) {
	var r restore
	err := m.Dir.Read(restoreFile, &r)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return r.From, err
}

// restoreFiles puts the snapshot's disk in the place of the machine's new one and
// says what the jail shows besides the machine's own.
func restoreFiles(p vm.Parts, dir string) ([]shim.JailFile, error) {
	if err := os.Remove(p.Scratch); err != nil {
		return nil, err
	}
	if err := vm.CopySparse(filepath.Join(dir, snapDisk), p.Scratch); err != nil {
		return nil, noRoom(fmt.Errorf("copying the snapshot's disk: %w", err))
	}
	if err := os.Chmod(p.Scratch, 0o600); err != nil {
		return nil, err
	}
	return []shim.JailFile{
		{Name: fileBase, Source: p.Base}, {Name: fileAgent, Source: filepath.Join(dir, snapAgent)},
		{Name: fileBoot, Source: p.Boot}, {Name: fileDisk, Source: p.Scratch, Write: true},
		{Name: snapState, Source: filepath.Join(dir, snapState)}, {Name: snapMemory, Source: filepath.Join(dir, snapMemory)},
	}, nil
}

// load starts the guest from a snapshot. Its TAP is down until its agent has
// become the new machine's: it wakes with the other's addresses and connections.
func (d *driver) load(ctx context.Context, c *api.Client, spec vitrine.MachineSpec, m supervised.Machine, dir string) error {
	man, err := readManifest(dir)
	if err != nil {
		return err
	}
	if spec.Net.NetNS != "" {
		if err := vm.SetTAP(spec.Net, false); err != nil {
			return vitrine.NewFailure(vitrine.FailHostNetworkFailed, nil, "%v", err).AsError().WithCause(err)
		}
	}
	if err := c.PutSerial(ctx, api.Serial{RateLimiter: serialLimit}); err != nil {
		return err
	}
	err = c.LoadSnapshot(ctx, api.SnapshotLoad{
		State: "/" + snapState, Memory: api.MemoryBackend{Type: "File", Path: "/" + snapMemory}, Resume: true,
	})
	if err != nil {
		return err
	}
	if err := d.become(ctx, spec, m, man.Secret); err != nil {
		return vitrine.NewFailure(vitrine.FailAgentTimeout, nil, "the restored machine did not become one of its own: %v", err).AsError().WithCause(err)
	}
	if spec.Net.NetNS != "" {
		if err := vm.SetTAP(spec.Net, true); err != nil {
			return vitrine.NewFailure(vitrine.FailHostNetworkFailed, nil, "%v", err).AsError().WithCause(err)
		}
	}
	return nil
}

// entropyBytes is what a restored machine's kernel is reseeded with.
const entropyBytes = 256

// become tells the agent who it is now, until it has answered. Connections of
// before the snapshot are reset by the VMM, and one that is made while that goes
// on may be too.
func (d *driver) become(ctx context.Context, spec vitrine.MachineSpec, m supervised.Machine, old string) error {
	now, err := vm.Secret(spec)
	if err != nil {
		return err
	}
	msg := agentproto.Resumed{Boot: vm.Boot(spec), MAC: spec.Net.MAC, Entropy: make([]byte, entropyBytes)}
	if _, err := rand.Read(msg.Entropy); err != nil {
		return err
	}
	dial := func(ctx context.Context) (net.Conn, error) { return d.Dial(ctx, m) }
	secret := old
	for {
		msg.UnixNano = time.Now().UnixNano()
		err := vm.Post(ctx, dial, secret, agentproto.PathResumed, msg)
		var refused *vm.Refused
		switch {
		case err == nil:
			return nil
		case ended(m):
			return errors.New("its VMM has left")
		case errors.As(err, &refused) && refused.Status == http.StatusUnauthorized && secret == old && now != old:
			secret = now // it became, and its answer was lost
			continue
		case errors.As(err, &refused):
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ctx.Err(), err)
		case <-time.After(20 * time.Millisecond): // a guest that wakes up gives no sign
		}
	}
}

// currentSecret is the secret that a machine's agent answers to.
func currentSecret(spec vitrine.MachineSpec) (string, error) {
	s, err := vm.Secret(spec)
	if err == nil && s == "" {
		err = errors.New("the machine has no secret")
	}
	return s, err
}

func (d *driver) log() *slog.Logger {
	if d.cfg.Log != nil {
		return d.cfg.Log.With("runtime", "firecracker")
	}
	return slog.Default().With("runtime", "firecracker")
}

// firstProcessor gives the lines of /proc/cpuinfo that tell a model and its
// features, of the first processor.
func firstProcessor(info []byte) []string {
	one, _, _ := bytes.Cut(info, []byte("\n\n"))
	var out []string
	for l := range strings.Lines(string(one)) {
		for _, key := range []string{"vendor_id", "cpu family", "model", "stepping", "flags"} {
			if strings.HasPrefix(l, key) {
				out = append(out, l)
			}
		}
	}
	return out
}
