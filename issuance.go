package muster

import "time"

// Issuance asks the registry for a certificate that an account's own issuing
// authority signs. Such a certificate names no Authority: its record alone lets
// it in.
type Issuance struct {
	Account string
	CSR     string // PEM; "" has a key pair made
	Status  Status // Active, Inactive or PendingActivation
	// Expires is when the record goes by itself unless it has left
	// PendingActivation by then. Zero: it stays. Only of PendingActivation.
	Expires time.Time
}

// Issued is a certificate with the key pair that was made for it: the one
// moment at which its private key can be handed out, for it is kept nowhere.
type Issued struct {
	Certificate
	PublicKey  string // PEM, as in BEGIN PUBLIC KEY; "" for a CSR
	PrivateKey string // PEM, as in BEGIN RSA PRIVATE KEY; "" for a CSR. Never logged.
}
