package webhook

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// The lengths that a key may have, in bytes.
const (
	minSecret = 16
	maxSecret = 1024
)

// ParseSecret reads the file of a key: one line of 16 to 1024 visible ASCII
// characters. They are the key as they stand, also where they look like hex
// digits; white space around them does not count. The error shows nothing of it.
func ParseSecret(text []byte) ([]byte, error) {
	key := bytes.TrimSpace(text)
	if len(key) < minSecret || len(key) > maxSecret {
		return nil, fmt.Errorf("the key has %d characters, want %d to %d; openssl rand -hex 32 makes one", len(key), minSecret, maxSecret)
	}
	if bytes.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, errors.New("the key has a character that is not visible ASCII; openssl rand -hex 32 makes one")
	}
	return key, nil
}

// Sign returns the value of the header Muster-Signature for a request that is
// sent at a time: t=UNIX,v1=HEX, where HEX is the HMAC-SHA256, under the key, of
// the text of UNIX, a full stop and the body.
func Sign(key []byte, at time.Time, body []byte) string {
	stamp := strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(stamp + "."))
	mac.Write(body)
	return "t=" + stamp + ",v1=" + hex.EncodeToString(mac.Sum(nil))
}
