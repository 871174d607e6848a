package awsiot

import "context"

func accountOperations() []operation {
	return []operation{
		{"GetRegistrationCode", get, "/registrationcode", (*Dialect).getRegistrationCode},
		{"DeleteRegistrationCode", remove, "/registrationcode", (*Dialect).deleteRegistrationCode},
		{"DescribeEndpoint", get, "/endpoint", (*Dialect).describeEndpoint},
	}
}

func (d *Dialect) getRegistrationCode(ctx context.Context, c *call) (any, error) {
	code, err := d.store.RegistrationCode(ctx, c.account)
	if err != nil {
		return nil, err
	}
	return struct {
		Code string `json:"registrationCode"`
	}{code}, nil
}

func (d *Dialect) deleteRegistrationCode(ctx context.Context, c *call) (any, error) {
	return nil, d.store.DeleteRegistrationCode(ctx, c.account)
}

// describeEndpoint answers with the host name that the account's devices connect
// to. AWS refuses iot:Data by now, which once meant a certificate of another
// root; without a type, clients mean the one they can use.
func (d *Dialect) describeEndpoint(ctx context.Context, c *call) (any, error) {
	switch kind := c.param("endpointType", endpointType); kind {
	case "", "iot:Data-ATS", "iot:CredentialProvider":
	default:
		c.refuse("endpointType: %s is not supported, use iot:Data-ATS", shorten(kind))
	}
	if c.err != nil {
		return nil, c.err
	}
	account, err := d.store.Account(ctx, c.account)
	if err != nil {
		return nil, err
	}
	return struct {
		Address string `json:"endpointAddress"`
	}{account.Endpoint}, nil
}
