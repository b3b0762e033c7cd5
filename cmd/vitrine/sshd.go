package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/internal/sshd"
)

// hostKeyName is the daemon's SSH key, in the data directory.
const hostKeyName = "ssh_host_ed25519_key"

// listenSSH takes the port of SSH, unless it is off.
func (a *app) listenSSH() (err error) {
	if a.set.SSHPort == 0 {
		return nil
	}
	host, _, _ := net.SplitHostPort(a.set.Listen)
	at := net.JoinHostPort(host, strconv.Itoa(a.set.SSHPort))
	if a.sshAt, err = net.Listen("tcp", at); err != nil {
		return vitrine.Errorf(vitrine.ClassConflict, "port_in_use", "cannot listen on %s for SSH", at).
			WithRemedy("stop what listens there, or set VITRINE_SSH_PORT to another port, or to 0 for no SSH").WithCause(err)
	}
	a.undo = append(a.undo, func() { _ = a.sshAt.Close() })
	return nil
}

func (a *app) wireSSH() error {
	if a.sshAt == nil {
		return nil
	}
	keys, ok := a.store.(vitrine.SSHKeyStore)
	if !ok {
		return errors.New("the store keeps no SSH keys")
	}
	host, err := loadHostKey(a.set.DataDir)
	if err != nil {
		return err
	}
	a.hostKey = strings.TrimSpace(string(ssh.MarshalAuthorizedKey(host.PublicKey())))
	if a.sshd, err = sshd.New(sshd.Config{Sessions: a.sessions, Keys: keys, HostKey: host, Log: a.log}); err != nil {
		return err
	}
	a.undo = append(a.undo, a.sshd.Close)
	return nil
}

// sessionOver ends what is still connected to a session.
func (a *app) sessionOver(id string) {
	a.streams.CloseSession(id)
	if a.sshd != nil {
		a.sshd.CloseSession(id)
	}
}

// sshEndpoint is where callers find SSH.
func (a *app) sshEndpoint() vitrine.SSHEndpoint {
	if a.sshAt == nil {
		return vitrine.SSHEndpoint{}
	}
	e := vitrine.SSHEndpoint{HostKey: a.hostKey, Port: a.sshAt.Addr().(*net.TCPAddr).Port}
	host, _, _ := net.SplitHostPort(a.set.Listen)
	if ip, err := netip.ParseAddr(host); err == nil && !ip.IsUnspecified() {
		e.Host = host
	}
	return e
}

// sshKeys is the key store for the API; nil when SSH is off.
func (a *app) sshKeys() vitrine.SSHKeyStore {
	if a.sshd == nil {
		return nil
	}
	return closingKeys{a.store.(vitrine.SSHKeyStore), a.sshd}
}

// closingKeys also hangs up on who came in by a key that is removed.
type closingKeys struct {
	vitrine.SSHKeyStore
	sshd *sshd.Server
}

func (c closingKeys) DeleteSSHKey(ctx context.Context, id string) error {
	if err := c.SSHKeyStore.DeleteSSHKey(ctx, id); err != nil {
		return err
	}
	c.sshd.CloseKey(id)
	return nil
}

// loadHostKey reads the daemon's SSH key, or makes it once.
func loadHostKey(dataDir string) (ssh.Signer, error) {
	path := filepath.Join(dataDir, hostKeyName)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		b, err = makeHostKey(path)
	}
	if err != nil {
		return nil, fmt.Errorf("the SSH host key: %w", err)
	}
	key, err := ssh.ParsePrivateKey(b)
	if err != nil {
		return nil, vitrine.Errorf(vitrine.ClassInvalid, "host_key_broken", "%s is not a private key", path).
			WithRemedy("restore it from a backup, or remove it: a new one is then made, of which SSH clients warn")
	}
	return key, nil
}

func makeHostKey(path string) ([]byte, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	block, err := ssh.MarshalPrivateKey(key, "vitrine")
	if err != nil {
		return nil, err
	}
	b := pem.EncodeToMemory(block)
	if err := writeSynced(path+".tmp", b); err != nil {
		os.Remove(path + ".tmp")
		return nil, err
	}
	return b, os.Rename(path+".tmp", path)
}
