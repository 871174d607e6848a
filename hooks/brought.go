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

// takeBrought returns the OCSP response that a client brought, nil for none, and
// takes it from the client, which mochi keeps as long as its session. What is no
// base64 is returned as it is: it counts as little, and the refusal then tells
// the device's owner that it was seen. How much is looked at is for those to
// bound who do; here the largest packet is the bound.
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
	der, err := base64.StdEncoding.DecodeString(text.String())
	if err != nil {
		return []byte(text.String())
	}
	return der
}
