package hooks

import (
	"encoding/base64"
	"slices"
	"strings"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// BroughtProperty is the name of the user property in which a client of MQTT 5
// brings an OCSP response about its certificate in CONNECT, DER in base64. A
// value that is longer than a string may be, 65,535 bytes, goes on in further
// properties of the name, whose order is kept [MQTT-3.3.2-18].
const BroughtProperty = "muster-ocsp"

// maxBrought is the size of such a response in bytes of DER: more than any
// responder sends, and what the registry keeps.
const maxBrought = 64 << 10

// takeBrought returns the OCSP response that a client brought, nil for none, and
// takes it from the client, which mochi keeps as long as its session. What is
// too long or no base64 becomes a response that is empty, so that the refusal
// tells the device's owner that it was seen and did not count.
func takeBrought(cl *mqtt.Client) []byte {
	var text strings.Builder
	had := len(cl.Properties.Props.User)
	cl.Properties.Props.User = slices.DeleteFunc(cl.Properties.Props.User, func(p packets.UserProperty) bool {
		if p.Key != BroughtProperty {
			return false
		}
		text.WriteString(p.Val)
		return true
	})
	if len(cl.Properties.Props.User) == had {
		return nil
	}
	if base64.StdEncoding.DecodedLen(text.Len()) > maxBrought+2 { // the length before its padding is known
		return []byte{}
	}
	der, err := base64.StdEncoding.DecodeString(text.String())
	if err != nil || len(der) > maxBrought {
		return []byte{}
	}
	return der
}
