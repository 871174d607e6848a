package awsiot_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/iot"
	"github.com/muster-mqtt/muster"
)

// key makes an access key of an account, and a client for it: the key's ID is the
// value of its name.
func (w *walk) key(t *testing.T, name, owner, kind string) error {
	wanted := muster.AccessKey{
		Account: map[string]string{"A": account, "B": stranger}[owner], Name: name, ReadOnly: kind == "read-only",
	}
	if strings.ToLower(kind) != kind {
		wanted.Operations = strings.Split(kind, ",")
	}
	k, err := w.server.store.CreateAccessKey(t.Context(), wanted)
	if err != nil {
		return err
	}
	w.values[name] = k.ID
	session, ago := "", time.Duration(0)
	switch kind {
	case "disabled":
		err = w.server.store.SetAccessKeyDisabled(t.Context(), k.ID, true)
	case "deleted":
		err = w.server.store.DeleteAccessKey(t.Context(), k.ID)
	case "wrong":
		k.Secret = w.server.other.Secret
	case "session":
		session = "token"
	case "late":
		ago = 6 * time.Minute
	}
	options := w.client(k).Options()
	options.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{AccessKeyID: k.ID, SecretAccessKey: k.Secret, SessionToken: session}, nil
	})
	options.HTTPSignerV4 = clockSigner{v4.NewSigner(), func() time.Time { return w.server.now().Add(-ago) }}
	options.AuthSchemes = nil // made of the signer before
	w.clients[name] = iot.New(options)
	return err
}
