package awsiot

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/internal/pace"
)

// Operations returns the names of all operations that are implemented, sorted:
// what the operations of an access key can be.
func Operations() []string {
	names := each(operations(), func(o operation) string { return o.name })
	slices.Sort(names)
	return names
}

// allow fails if a key may not call an operation, or not as often. It is asked
// once the signature was verified, so that nobody uses up the rate of another's
// key.
func (d *Dialect) allow(key muster.AccessKey, o *operation) error {
	if limit := d.rates.perSecond.Load(); limit > 0 && !d.rates.of.Allow(key.ID) {
		return &fault{
			status: http.StatusTooManyRequests, code: "ThrottlingException", again: time.Second,
			message: fmt.Sprintf("Rate exceeded: access key %s may make %d requests a second, and twice as many at once; try again in a second.", key.ID, limit),
		}
	}
	if o == nil {
		return nil // and nothing happens
	}
	var why string
	switch {
	case key.ReadOnly && !changesNothing(o.name):
		why = "which is read-only"
	case !mayCall(key.Operations, o.name):
		why = "which may call " + strings.Join(key.Operations, ", ") + " only"
	default:
		return nil
	}
	user := key.Name
	if user == "" {
		user = key.ID
	}
	return &fault{status: http.StatusForbidden, code: "AccessDeniedException", message: fmt.Sprintf(
		"User: arn:aws:iam::%s:user/%s is not authorized to perform: iot:%s by access key %s, %s",
		key.Account, user, o.name, key.ID, shorten(why))}
}

// mayCall reports whether an operation is one of those that a key is bound to;
// it may call all if it is bound to none.
func mayCall(operations []string, name string) bool {
	return len(operations) == 0 || slices.ContainsFunc(operations, func(o string) bool {
		beginning, open := strings.CutSuffix(o, "*")
		return o == name || open && strings.HasPrefix(name, beginning)
	})
}

// changesNothing goes by the names that AWS gives to its operations. The one that
// they deceive about makes a registration code if there is none.
func changesNothing(operation string) bool {
	switch operation {
	case "GetRegistrationCode":
		return false
	case "TestAuthorization":
		return true
	}
	return slices.ContainsFunc([]string{"Describe", "Get", "List"}, func(verb string) bool { return strings.HasPrefix(operation, verb) })
}

// keyRates bounds the requests of each access key by itself.
type keyRates struct {
	perSecond *atomic.Int64 // 0: no limit
	of        *pace.Rates[string]
}

// pacedKeys is how many keys' rates are remembered at least: more than are busy
// within two seconds, after which a rate is full again.
const pacedKeys = 1024

func newKeyRates() keyRates {
	return keyRates{new(atomic.Int64), pace.New[string](1, pacedKeys)}
}

// SetRequestsPerKey changes how many requests a second each access key may make,
// at once; 0 is no limit.
func (d *Dialect) SetRequestsPerKey(n int) {
	if n > 0 {
		d.rates.of.Set(n)
	}
	d.rates.perSecond.Store(int64(n))
}
