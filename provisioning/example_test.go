package provisioning_test

import (
	"fmt"
	"log"

	"github.com/muster-mqtt/muster/provisioning"
)

func Example() {
	template, err := provisioning.Parse([]byte(`{
  "Parameters": {
    "AWS::IoT::Certificate::Country": {"Type": "String", "Default": "DE"}
  },
  "Resources": {
    "thing": {
      "Type": "AWS::IoT::Thing",
      "Properties": {
        "ThingName": {"Fn::Sub": "lamp-${AWS::IoT::Certificate::SerialNumber}"},
        "ThingGroups": [{"Ref": "AWS::IoT::Certificate::Country"}]
      }
    },
    "certificate": {
      "Type": "AWS::IoT::Certificate",
      "Properties": {"CertificateId": {"Ref": "AWS::IoT::Certificate::Id"}}
    },
    "policy": {
      "Type": "AWS::IoT::Policy",
      "Properties": {"PolicyName": "lamps"}
    }
  }
}`))
	if err != nil {
		log.Fatal(err)
	}

	// At a connect Parameters has the Certificate instead.
	r, err := template.Render(provisioning.Parameters{
		Given: map[string]string{"AWS::IoT::Certificate::SerialNumber": "0007"},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(r.Status, r.Thing.Name, r.Thing.Groups, r.Policies[0].Name)

	_, err = template.Render(provisioning.Parameters{})
	fmt.Println(err)
	// Output:
	// ACTIVE lamp-0007 [DE] lamps
	// invalid registration: Resources.thing.Properties.ThingName.Fn::Sub (line 9): parameter AWS::IoT::Certificate::SerialNumber has no value: the certificate has no SerialNumber in its subject; add a Default or put it in the certificate
}
