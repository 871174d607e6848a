package awsiot

import (
	"context"
	"errors"
	"net/http"

	"github.com/muster-mqtt/muster"
)

func (d *Dialect) createProvisioningClaim(ctx context.Context, c *call) (any, error) {
	name := c.label("templateName", templateName)
	if c.err != nil {
		return nil, c.err
	}
	made, err := d.store.CreateClaim(ctx, c.account, name)
	if errors.Is(err, muster.ErrLimit) { // AWS's model has no LimitExceededException here
		return nil, &fault{status: http.StatusBadRequest, code: "ThrottlingException", message: err.Error()}
	}
	if err != nil {
		return nil, err
	}
	return struct {
		ID         string  `json:"certificateId"`
		PEM        string  `json:"certificatePem"`
		KeyPair    keyPair `json:"keyPair"`
		Expiration epoch   `json:"expiration"`
	}{made.ID, made.PEM, keyPair{made.PublicKey, made.PrivateKey}, epoch(made.Expires)}, nil
}
