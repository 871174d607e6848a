package policy

import (
	"encoding/json"
	"regexp"
	"strconv"
)

// condition is one operator applied to one key. It is kept with its statement,
// but not evaluated yet: see the package comment for what a statement that has
// one means until then.
type condition struct {
	operator string // ForAllValues:StringEquals
	key      string // iot:ConnectAttributes
	values   []string
}

// operatorName admits the operators of IAM, so that a misspelt one is found
// when the policy is written.
var operatorName = regexp.MustCompile(`^(ForAllValues:|ForAnyValue:)?(` +
	`String(Not)?(Equals(IgnoreCase)?|Like)|` +
	`(Numeric|Date)((Not)?Equals|(Less|Greater)Than(Equals)?)|` +
	`Arn(Not)?(Equals|Like)|(Not)?IpAddress|Bool|BinaryEquals|Null)(IfExists)?$`)

// parseConditions reads the member Condition: operator → key → value or values.
func parseConditions(value any) ([]condition, error) {
	operators, err := nonEmptyObject("Condition", value)
	if err != nil {
		return nil, err
	}
	var conditions []condition
	for _, operator := range operators {
		path := "Condition." + operator.name
		if !operatorName.MatchString(operator.name) {
			return nil, fault(path, "no condition operator; write one such as StringEquals or ForAnyValue:StringLike")
		}
		keys, err := nonEmptyObject(path, operator.value)
		if err != nil {
			return nil, err
		}
		for _, key := range keys {
			path := path + "." + key.name
			if !variableName.MatchString(key.name) {
				return nil, fault(path, "no condition key; write one such as iot:ConnectAttributes")
			}
			values, err := conditionValues(path, key.value)
			if err != nil {
				return nil, err
			}
			conditions = append(conditions, condition{operator.name, key.name, values})
		}
	}
	return conditions, nil
}

func nonEmptyObject(path string, value any) (object, error) {
	o, ok := value.(object)
	if !ok {
		return nil, fault(path, "%s; write an object", kindOf(value))
	}
	if len(o) == 0 {
		return nil, fault(path, "an empty object; leave it out")
	}
	return o, nil
}

// conditionValues reads a string, number or boolean, or several of them.
func conditionValues(path string, value any) ([]string, error) {
	list, ok := value.(array)
	if !ok {
		list = array{value}
	}
	if len(list) == 0 {
		return nil, fault(path, "an empty array; name at least one value")
	}
	values := make([]string, len(list))
	for i, value := range list {
		switch value := value.(type) {
		case string:
			values[i] = value
		case json.Number:
			values[i] = value.String()
		case bool:
			values[i] = strconv.FormatBool(value)
		default:
			return nil, fault(path, "%s; write a string, number or boolean, or an array of them", kindOf(value))
		}
	}
	return values, nil
}
