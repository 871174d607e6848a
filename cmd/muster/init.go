package main

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/config"
	"github.com/muster-mqtt/muster/internal/mint"
	"github.com/muster-mqtt/muster/registry"
	"github.com/muster-mqtt/muster/registry/badgerdb"
)

// The files of a server's directory.
const (
	configFile      = "muster.yaml"
	rootFile        = "ca.pem" // what a device trusts the broker by
	credentialsFile = "credentials"
	addressesFile   = "addresses.json"
	socketFile      = "muster.sock"
)

// setup is what init makes.
type setup struct {
	dir     string
	account string
	region  string
	console bool // logs for people, as the demo shows them
	spare   bool // keep the server that the directory holds already
}

func initCommand() *cobra.Command {
	s := setup{}
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Make the directory of a new server",
		Long: `Make the directory of a new server: a commented configuration, a server
certificate for localhost with the root that devices trust it by, an empty
registry, one account with an access key, and the master key that seals secrets.

The certificate and the OCSP rule for loopback responders are for development:
muster.yaml says what to change for production.`,
		Example: "  muster init\n  muster init --dir /var/lib/muster --account 210987654321 --region eu-central-1",
		Args:    usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !muster.ValidAccountID(s.account) {
				return &usageError{fmt.Errorf("--account %q: an account has 12 digits", s.account)}
			}
			if _, err := os.Stat(filepath.Join(s.dir, configFile)); err == nil && s.spare {
				_, err := fmt.Fprintf(cmd.OutOrStdout(), "Kept %s: it has a %s already.\n", s.dir, configFile)
				return err
			}
			if err := s.make(cmd.Context()); err != nil {
				return err
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "Made %s for account %s in %s.\nNext: muster serve%s\n",
				s.dir, s.account, s.region, configFlag(s.dir))
			return err
		},
	}
	cmd.Flags().StringVar(&s.dir, "dir", ".muster", "the `directory` to make")
	cmd.Flags().StringVar(&s.account, "account", "123456789012", "the account's `id`, 12 digits")
	cmd.Flags().BoolVar(&s.spare, "if-missing", false, "do nothing if the directory holds a server already, for containers that start again")
	cmd.Flags().StringVar(&s.region, "region", "us-east-1", "the `region` in ARNs and signatures")
	return cmd
}

func configFlag(dir string) string {
	path := filepath.Join(dir, configFile)
	if path == defaultConfig {
		return ""
	}
	return " --config " + path
}

func (s setup) make(ctx context.Context) error {
	return makeDirectory(s.dir, func(tmp string) error { return s.writeFiles(ctx, tmp) })
}

// makeDirectory builds a directory beside its place and moves it there when it
// is whole, so that a failure leaves nothing behind.
func makeDirectory(dir string, fill func(tmp string) error) (err error) {
	dir = filepath.Clean(dir) // the parent of "new/" is not "new"
	if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
		if err == nil {
			err = errors.New("it exists; remove it, or choose another with --dir")
		}
		return fmt.Errorf("making %s: %w", dir, err)
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return fmt.Errorf("making %s: %w", dir, err)
	}
	tmp, err := os.MkdirTemp(filepath.Dir(dir), ".muster-new-")
	if err != nil {
		return fmt.Errorf("making %s: %w", dir, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("making %s: %w", dir, err), os.RemoveAll(tmp))
		}
	}()
	if err := fill(tmp); err != nil {
		return err
	}
	if err := syncFiles(tmp); err != nil {
		return err
	}
	return errors.Join(os.Rename(tmp, dir), syncPath(filepath.Dir(dir)))
}

// syncFiles makes what stands in a directory outlive a power cut: a registry
// that does, under a master key that does not, is lost. What stands deeper the
// registry has synced itself.
func syncFiles(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := syncPath(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return syncPath(dir)
}

func (s setup) writeFiles(ctx context.Context, dir string) error {
	if err := writeServerCertificate(dir); err != nil {
		return err
	}
	c := config.Default()
	c.Region = s.region
	// A development responder listens on loopback.
	c.OCSP.AllowPrivate = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	if s.console {
		c.Log.Format = config.FormatConsole
	}
	document := c.Document()
	if _, err := config.Parse(document, configFile); err != nil {
		return err // a flag that no configuration may hold
	}
	if err := os.WriteFile(filepath.Join(dir, configFile), document, 0o644); err != nil {
		return err
	}
	master := make([]byte, 32)
	if _, err := rand.Read(master); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, c.Registry.MasterKey), []byte(hex.EncodeToString(master)+"\n"), 0o600); err != nil {
		return err
	}
	key, err := s.createRegistry(ctx, filepath.Join(dir, c.Registry.Path), master)
	if err != nil {
		return err
	}
	text := fmt.Sprintf("[default]\naws_access_key_id = %s\naws_secret_access_key = %s\nregion = %s\n", key.ID, key.Secret, s.region)
	return os.WriteFile(filepath.Join(dir, credentialsFile), []byte(text), 0o600)
}

// createRegistry makes the registry with its first account and access key.
func (s setup) createRegistry(ctx context.Context, path string, master []byte) (key muster.AccessKey, err error) {
	if err := badgerdb.Create(badgerdb.Config{Dir: path}); err != nil {
		return key, err
	}
	engine, err := badgerdb.Open(badgerdb.Config{Dir: path})
	if err != nil {
		return key, err
	}
	defer func() { err = errors.Join(err, engine.Close()) }()
	sealer, err := registry.NewSealer(master)
	if err != nil {
		return key, err
	}
	store, err := registry.New(registry.Config{Engine: engine, Sealer: sealer})
	if err != nil {
		return key, err
	}
	if err := store.CreateAccount(ctx, muster.Account{ID: s.account, Endpoint: "localhost"}); err != nil {
		return key, err
	}
	return store.CreateAccessKey(ctx, muster.AccessKey{Account: s.account})
}

// writeServerCertificate makes the development certificate. The root's key is
// thrown away: nothing else can ever be signed with it.
func writeServerCertificate(dir string) error {
	root, err := mint.NewAuthority("Muster development root")
	if err != nil {
		return err
	}
	leaf, err := root.Issue(mint.Request{
		Subject:     pkix.Name{CommonName: "localhost"},
		DNSNames:    []string{"localhost"},
		IPs:         []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	if err != nil {
		return err
	}
	c := config.Default()
	return errors.Join(
		os.WriteFile(filepath.Join(dir, rootFile), root.CertPEM(), 0o644),
		os.WriteFile(filepath.Join(dir, c.MQTT.Certificate), leaf.CertPEM(), 0o644),
		os.WriteFile(filepath.Join(dir, c.MQTT.Key), leaf.KeyPEM(), 0o600),
	)
}
