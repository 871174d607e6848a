package awsiot

func eventOperations() []operation { return nil }
