package httpapi_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/api"
	"github.com/vitrine-dev/vitrine/internal/httpapi"
)

// testSSHKey is the public half of a key that nobody has.
const testSSHKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIXqs+JPMuOpCXq6S9tkWYiI6mz3yFqiCkPXLc6pu1xd"

func (w *world) PutSSHKey(_ context.Context, k vitrine.SSHKey) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, have := range w.sshKeys {
		if have.UserID == k.UserID && have.Fingerprint == k.Fingerprint {
			return vitrine.Errorf(vitrine.ClassConflict, "ssh_key_exists", "it is there").WithRemedy("none")
		}
	}
	w.sshKeys = append(w.sshKeys, k)
	return nil
}

func (w *world) SSHKeys(_ context.Context, userID string) (list []vitrine.SSHKey, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, k := range w.sshKeys {
		if userID == "" || k.UserID == userID {
			list = append(list, k)
		}
	}
	return list, nil
}

func (w *world) SSHKeysByFingerprint(context.Context, string) ([]vitrine.SSHKey, error) {
	panic("the API does not look keys up")
}

func (w *world) DeleteSSHKey(_ context.Context, id string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, k := range w.sshKeys {
		if k.ID == id {
			w.sshKeys = append(w.sshKeys[:i:i], w.sshKeys[i+1:]...)
		}
	}
	return nil
}

func TestSSHKeysOfAUser(t *testing.T) {
	r := newRig(t)
	alice, admin := r.client(aliceKey), r.client(adminKey)
	brief := int64(60)
	k := must[api.SSHKey](t)(alice.AddSSHKey(t.Context(), api.AddSSHKey{Name: "laptop", PublicKey: testSSHKey + " alice@laptop\n", TTLSeconds: &brief}))
	if k.UserID != "alice" || k.Role != vitrine.RoleUser || k.PublicKey != testSSHKey || !strings.HasPrefix(k.Fingerprint, "SHA256:") || !k.ExpiresAt.Equal(r.clock().Add(time.Minute)) {
		t.Errorf("%+v", k)
	}
	own := must[api.SSHKey](t)(admin.AddSSHKey(t.Context(), api.AddSSHKey{Name: "root's", PublicKey: testSSHKey}))
	bobs := must[api.SSHKey](t)(admin.AddSSHKey(t.Context(), api.AddSSHKey{Name: "bob's", PublicKey: testSSHKey, UserID: "bob"}))
	if own.Role != vitrine.RoleAdmin || bobs.Role != vitrine.RoleUser || bobs.ExpiresAt != nil {
		t.Errorf("%+v, %+v", own, bobs)
	}
	if l := must[api.SSHKeyList](t)(alice.SSHKeys(t.Context())); len(l.Keys) != 1 || l.Keys[0].ID != k.ID || l.Endpoint.Port != 4022 {
		t.Errorf("alice sees %+v", l)
	}
	if l := must[api.SSHKeyList](t)(admin.SSHKeys(t.Context())); len(l.Keys) != 3 {
		t.Errorf("the admin sees %+v", l)
	}
	if err := alice.RemoveSSHKey(t.Context(), bobs.ID); err == nil {
		t.Error("alice removed bob's key")
	}
	if err := admin.RemoveSSHKey(t.Context(), bobs.ID); err != nil {
		t.Error(err)
	}
	r.advance(2 * time.Minute)
	if l := must[api.SSHKeyList](t)(alice.SSHKeys(t.Context())); len(l.Keys) != 0 {
		t.Errorf("a key that ran out is listed: %+v", l)
	}
}

func TestAnSSHKeyThatIsNone(t *testing.T) {
	r := newRig(t)
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	public, err := ssh.NewPublicKey(&weak.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	line := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(public)))
	for name, tt := range map[string]struct {
		body   string
		status int
	}{
		"nothing":           {`{"name":"x","public_key":""}`, 422},
		"words":             {`{"name":"x","public_key":"let me in"}`, 422},
		"two lines":         {`{"name":"x","public_key":"` + testSSHKey + `\n` + testSSHKey + `"}`, 422},
		"options":           {`{"name":"x","public_key":"command=\"ls\" ` + testSSHKey + `"}`, 422},
		"the private half":  {`{"name":"x","public_key":"-----BEGIN OPENSSH PRIVATE KEY-----"}`, 422},
		"a weak RSA key":    {`{"name":"x","public_key":"` + line + `"}`, 422},
		"no name":           {`{"public_key":"` + testSSHKey + `"}`, 422},
		"a life of nothing": {`{"name":"x","public_key":"` + testSSHKey + `","ttl_seconds":0}`, 422},
		"another's":         {`{"name":"x","public_key":"` + testSSHKey + `","user_id":"bob"}`, 403},
		"a bad user":        {`{"name":"x","public_key":"` + testSSHKey + `","user_id":"../x"}`, 403},
	} {
		resp := r.call("POST", "/v1/ssh-keys", tt.body, bearer(aliceKey)...)
		if resp.StatusCode != tt.status {
			t.Errorf("%s: %s", name, resp.Status)
		}
	}
	if resp := r.call("POST", "/v1/ssh-keys", `{"name":"x","public_key":"`+testSSHKey+`"}`, bearer(aliceKey)...); resp.StatusCode != http.StatusCreated {
		t.Fatal(resp.Status)
	}
	if resp := r.call("POST", "/v1/ssh-keys", `{"name":"y","public_key":"`+testSSHKey+`"}`, bearer(aliceKey)...); resp.StatusCode != http.StatusConflict {
		t.Errorf("the same key again: %s", resp.Status)
	}
}

func TestADaemonWithoutSSHSaysSo(t *testing.T) {
	r := newRig(t, func(c *httpapi.Config) { c.SSHKeys = nil })
	for _, call := range [][2]string{{"GET", ""}, {"POST", `{"name":"x","public_key":"` + testSSHKey + `"}`}} {
		resp := r.call(call[0], "/v1/ssh-keys", call[1], bearer(aliceKey)...)
		if e := errorOf(t, resp); resp.StatusCode != http.StatusServiceUnavailable || e.Code != "ssh_off" {
			t.Errorf("%s: %s, %+v", call[0], resp.Status, e)
		}
	}
}
