package awsiot

import (
	"context"
	"errors"
	"net/http"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/provisioning"
)

func registerThingOperations() []operation {
	return []operation{
		{"RegisterThing", post, "/things", (*Dialect).registerThing},
	}
}

// registerThing renders the template with the parameters and has all of it
// written at once. AWS leaves a reference to a parameter without a value as it
// stands; here it is an error, for nobody wants a thing of that name.
func (d *Dialect) registerThing(ctx context.Context, c *call) (any, error) {
	var in struct {
		Body       string            `json:"templateBody"`
		Parameters map[string]string `json:"parameters"`
	}
	c.decode(&in)
	c.required("templateBody", in.Body, templateBody)
	if c.err != nil {
		return nil, c.err
	}
	template, err := provisioning.ParseRegisterThing([]byte(in.Body))
	if err != nil {
		return nil, invalidRequest("templateBody: %v", err)
	}
	registration, err := template.Render(provisioning.Parameters{Given: in.Parameters})
	if err != nil {
		return nil, invalidRequest("parameters: %v", err)
	}
	made, err := d.store.RegisterThing(ctx, c.account, registration)
	if err != nil {
		return nil, registrationFault(err)
	}
	arns := make(map[string]string, len(registration.Resources))
	for logical, key := range registration.Resources {
		if key.Kind == muster.KindCertificate {
			key.ID = made.ID
		}
		arns[logical] = d.arn(c.account, key.Kind, key.ID)
	}
	return struct {
		PEM  string            `json:"certificatePem"`
		ARNs map[string]string `json:"resourceArns"`
	}{made.PEM, arns}, nil
}

// registrationFault gives an error the name that AWS's model has for it: what
// other operations say of certificates, this one says of the registration.
func registrationFault(err error) error {
	for _, of := range []error{
		muster.ErrNotFound, muster.ErrExists, muster.ErrState, muster.ErrLimit, muster.ErrCertificate, muster.ErrAmbiguous,
	} {
		if !errors.Is(err, of) {
			continue
		}
		message := err.Error()
		var exists *muster.ExistsError
		if errors.As(err, &exists) && exists.Foreign {
			message = alreadyExists(exists, "", "").message
		}
		return &fault{status: http.StatusBadRequest, code: "ResourceRegistrationFailureException", message: message}
	}
	return err
}
