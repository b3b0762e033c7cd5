package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/vitrine-dev/vitrine/internal/agentproto"
)

// resumedMessage is one that keeps the rules. Nothing here lets it be carried
// out: that sets the clock and the host's name, and is proved in a real machine.
func resumedMessage() agentproto.Resumed {
	return agentproto.Resumed{
		Boot: agentproto.Boot{Hostname: "new", Files: []agentproto.BootFile{
			{Path: agentproto.Dir + "/" + agentproto.ConfigFile, Mode: 0o600, Data: []byte(`{"secret":"0123456789abcdef","kind":"terminal"}`)},
		}},
		UnixNano: time.Now().UnixNano(), Entropy: make([]byte, agentproto.MinEntropy),
	}
}

func TestAMessageOfARestoreThatBreaksTheRulesChangesNothing(t *testing.T) {
	for _, c := range []struct {
		name, want string
		spoil      func(*agentproto.Resumed)
	}{
		{"no entropy", "entropy", func(m *agentproto.Resumed) { m.Entropy = nil }},
		{"a flood of entropy", "entropy", func(m *agentproto.Resumed) { m.Entropy = make([]byte, agentproto.MaxEntropy+1) }},
		{"no time", "unix_nano", func(m *agentproto.Resumed) { m.UnixNano = 0 }},
		{"no config", "config is not among", func(m *agentproto.Resumed) { m.Boot.Files = nil }},
		{"a config without a secret", "secret", func(m *agentproto.Resumed) { m.Boot.Files[0].Data = []byte(`{"kind":"terminal"}`) }},
		{"a path that climbs", "clean absolute path", func(m *agentproto.Resumed) { m.Boot.Files[0].Path = "/run/../etc/shadow" }},
		{"a host name with a newline", "hostname", func(m *agentproto.Resumed) { m.Boot.Hostname = "a\nb" }},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			s := newServer(ctx, cancel, agentproto.Config{Secret: "the old one"}, place{}, nil, time.Now(), slog.New(slog.DiscardHandler))
			before := s.secret.Load()
			msg := resumedMessage()
			c.spoil(&msg)
			body, err := json.Marshal(msg)
			if err != nil {
				t.Fatal(err)
			}
			w := httptest.NewRecorder()
			s.resumed(w, httptest.NewRequestWithContext(ctx, http.MethodPost, agentproto.PathResumed, bytes.NewReader(body)))
			if w.Code != http.StatusUnprocessableEntity || !strings.Contains(w.Body.String(), c.want) {
				t.Errorf("it answers %d %s; want 422 with %q", w.Code, w.Body, c.want)
			}
			if s.secret.Load() != before {
				t.Error("the secret was changed")
			}
		})
	}
}

func TestFilesOfARestoredMachineAreReplacedWhole(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "config.json")
	if err := os.WriteFile(path, []byte("the other machine's"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := writeFiles([]agentproto.BootFile{{Path: path, Mode: 0o600, Data: []byte("mine")}}); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if st, serr := os.Stat(path); err != nil || serr != nil || string(text) != "mine" || st.Mode().Perm() != 0o600 {
		t.Errorf("it holds %q, %v, with mode %v (%v)", text, err, st.Mode(), serr)
	}
	if err := writeFiles([]agentproto.BootFile{{Path: filepath.Join(dir, "no/such/dir"), Mode: 0o600}}); err == nil {
		t.Error("a file that could not be written was passed over")
	}
	if left, _ := os.ReadDir(dir); len(left) != 1 {
		t.Errorf("the directory holds %v", left)
	}
}

func TestTheMachineIDIsItsOwn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "machine-id")
	if err := newMachineID("mch_1", path); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("an image without a machine-id got one")
	}
	var ids []string
	for _, m := range []string{"mch_1", "mch_2", "mch_1"} {
		if err := os.WriteFile(path, []byte("00000000000000000000000000000000\n"), 0o444); err != nil {
			t.Fatal(err)
		}
		if err := newMachineID(m, path); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(path)
		if err != nil || len(text) != 33 || strings.Trim(string(text), "0123456789abcdef") != "\n" {
			t.Errorf("the id is %q, %v", text, err)
		}
		ids = append(ids, string(text))
	}
	if ids[0] == ids[1] || ids[0] != ids[2] {
		t.Errorf("the ids are %q", ids)
	}
}

func TestARestoredMachineLosesTheOthersAddresses(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		// A namespace of this thread's own, which ends with it.
		runtime.LockOSThread()
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			t.Errorf("make a network namespace: %v", err)
			return
		}
		err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "eth0"}, PeerName: "peer"})
		if err != nil {
			t.Error(err)
			return
		}
		resolv := filepath.Join(t.TempDir(), "resolv.conf")
		old := agentproto.Network{Configure: true, Device: "eth0", Address: "192.168.100.7/24", Gateway: "192.168.100.1"}
		now := agentproto.Network{Configure: true, Device: "eth0", Address: "192.168.100.9/24", Gateway: "192.168.100.1"}
		if err := configureNetwork(old, resolv); err != nil {
			t.Error(err)
		}
		for range 2 { // an answer may be lost, and the message come again
			if err := readdress(now, "02:00:00:00:00:09"); err != nil {
				t.Error(err)
			}
			if err := configureNetwork(now, resolv); err != nil {
				t.Error(err)
			}
		}
		link, err := netlink.LinkByName("eth0")
		if err != nil {
			t.Error(err)
			return
		}
		addrs, err := netlink.AddrList(link, netlink.FAMILY_V4)
		if err != nil || len(addrs) != 1 || addrs[0].IPNet.String() != "192.168.100.9/24" {
			t.Errorf("addresses %v, %v", addrs, err)
		}
		if mac := link.Attrs().HardwareAddr.String(); mac != "02:00:00:00:00:09" {
			t.Errorf("the MAC is %s", mac)
		}
		routes, err := netlink.RouteList(link, netlink.FAMILY_V4)
		gateways := 0
		for _, r := range routes {
			if r.Gw != nil {
				gateways++
			}
		}
		if err != nil || gateways != 1 {
			t.Errorf("routes %v, %v", routes, err)
		}
		if err := readdress(agentproto.Network{Device: "no-such"}, ""); err == nil {
			t.Error("a device that is not there was passed over")
		}
		if err := readdress(now, "x"); err == nil {
			t.Error("a MAC that is none was passed over")
		}
	}()
	<-done
}
