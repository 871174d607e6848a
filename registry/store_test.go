package registry_test

import (
	"github.com/muster-mqtt/muster/admission"
	"github.com/muster-mqtt/muster/api/sigv4"
	"github.com/muster-mqtt/muster/hooks"
	"github.com/muster-mqtt/muster/ocsp"
	"github.com/muster-mqtt/muster/registry"
)

// What the packages that use a Store ask of it, each in words of its own.
var (
	_ admission.Registry     = (*registry.Store)(nil)
	_ admission.RefusalStore = (*registry.Store)(nil)
	_ hooks.Principals       = (*registry.Store)(nil)
	_ ocsp.Cache             = (*registry.Store)(nil)
	_ sigv4.Keys             = (*registry.Store)(nil)
)
