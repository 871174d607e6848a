package registry

import (
	"crypto/aes"
	"crypto/cipher"
	"fmt"

	"github.com/muster-mqtt/muster"
)

// Sealer encrypts secrets under the master key (AES-256-GCM, a random nonce
// before each text), so that neither the store nor a backup of it holds them in
// clear.
type Sealer struct {
	aead cipher.AEAD
}

// NewSealer takes the master key: 32 bytes.
func NewSealer(key []byte) (*Sealer, error) {
	if len(key) != 32 {
		return nil, fmt.Errorf("master key: %d bytes, want 32: %w", len(key), muster.ErrInvalid)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("master key: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("master key: %w", err)
	}
	return &Sealer{aead: aead}, nil
}

// Seal encrypts plain. What it returns opens only with the same context, so
// that it cannot be moved to another record.
func (s *Sealer) Seal(plain []byte, context string) []byte {
	return s.aead.Seal(nil, nil, plain, []byte(context))
}

// Open decrypts what Seal returned. It fails with ErrInvalid if it was made
// under another key or context, or altered.
func (s *Sealer) Open(sealed []byte, context string) ([]byte, error) {
	plain, err := s.aead.Open(nil, nil, sealed, []byte(context))
	if err != nil {
		return nil, fmt.Errorf("%s: sealed under another master key, or altered: %w", context, muster.ErrInvalid)
	}
	return plain, nil
}
