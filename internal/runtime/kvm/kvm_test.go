package kvm

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vitrine-dev/vitrine"
)

// failure gives the failure behind a probe's error, which must be of the one
// code and name a remedy.
func failure(t *testing.T, err error) *vitrine.Error {
	t.Helper()
	var e *vitrine.Error
	if !errors.As(err, &e) || e.Code != string(vitrine.FailHostKVMUnusable) || e.Remedy == "" {
		t.Fatalf("the error is %v, want %s with a remedy", err, vitrine.FailHostKVMUnusable)
	}
	return e
}

func TestTheFigureDecidesAndNotTheDevice(t *testing.T) {
	r, err := ProbeFloor(t.Context(), Device, 0)
	if err != nil {
		t.Skip(err)
	}
	t.Logf("%.3g guest kernel instructions a second, seen in %s", r.Rate, r.Took)
	if r.Rate <= 0 || r.Took < measureFor || r.Took > limit {
		t.Errorf("the probe says %+v", r)
	}
	if _, err := ProbeFloor(t.Context(), Device, r.Rate*1000); !strings.Contains(failure(t, err).Message, "instructions a second") {
		t.Errorf("with a floor far above what the host does: %v", err)
	}
	if _, err = Probe(t.Context()); (err == nil) != (r.Rate > Floor) && (r.Rate > 2*Floor || r.Rate < Floor/2) {
		t.Errorf("at %.3g with the floor at %.3g the probe says %v", r.Rate, Floor, err)
	}
}

func TestWhyKVMCannotBeUsedIsSaid(t *testing.T) {
	locked := filepath.Join(t.TempDir(), "kvm")
	if err := os.WriteFile(locked, nil, 0o000); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, device, message, remedy string }{
		{"the module is not loaded", "/dev/no-such-kvm", "no such file", "modprobe"},
		{"no permission", locked, "permission denied", "usermod -aG kvm"},
		{"it is something else", os.DevNull, "KVM_GET_API_VERSION", "VITRINE_RUNTIME"},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := failure(t, asNobody(func() error {
				_, err := ProbeFloor(t.Context(), c.device, 0)
				return err
			}))
			if !strings.Contains(e.Message, c.message) || !strings.Contains(e.Remedy, c.remedy) {
				t.Errorf("it says %q, remedy %q; want %q and %q", e.Message, e.Remedy, c.message, c.remedy)
			}
		})
	}
}

// asNobody runs f with the file permissions of nobody, which root needs to see
// that it may not open something.
func asNobody(f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with us
		_ = unix.Setfsuid(65534)
		done <- f()
	}()
	return <-done
}

func TestAGuestThatNeverLeavesDoesNotHangTheProbe(t *testing.T) {
	if _, err := ProbeFloor(t.Context(), Device, 0); err != nil {
		t.Skip(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	began := time.Now()
	_, err := measure(ctx, Device, []byte{0xeb, 0xfe}) // jmp .
	if e := failure(t, err); !strings.Contains(e.Message, "did not finish") || time.Since(began) > 2*time.Second {
		t.Errorf("after %s: %v", time.Since(began), err)
	}
}

func TestAGuestThatCrashesIsNotTakenForOneThatCounts(t *testing.T) {
	if _, err := ProbeFloor(t.Context(), Device, 0); err != nil {
		t.Skip(err)
	}
	_, err := measure(t.Context(), Device, []byte{0x0f, 0x0b}) // ud2 without a handler
	failure(t, err)
}

func TestNothingStaysOpen(t *testing.T) {
	if _, err := ProbeFloor(t.Context(), Device, 0); err != nil {
		t.Skip(err)
	}
	count := func() int {
		fds, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(fds)
	}
	before := count()
	for range 3 {
		_, _ = Probe(t.Context())
	}
	if after := count(); after > before {
		t.Errorf("%d files were open and %d are after three probes", before, after)
	}
}
