from accounts.models.accounts import Account
from accounts.models.activity import Activity, Subject
from accounts.models.api_sessions import APISession, find_session
from accounts.models.bulk_actions import BulkAction, BulkActionRows
from accounts.models.groups import Group, GroupMember, GroupOwner
from accounts.models.invitations import Invitation
from accounts.models.rate_limits import RateLimitCounter
from accounts.models.second_factors import RecoveryCode, SecondFactor
from accounts.models.settings import Setting
from accounts.models.signing_keys import SigningKey
from accounts.models.token_keys import TokenKeys
from accounts.models.tokens import Token, find_token
from accounts.models.users import Customer, User

__all__ = [
    "APISession",
    "Account",
    "Activity",
    "BulkAction",
    "BulkActionRows",
    "Customer",
    "Group",
    "GroupMember",
    "GroupOwner",
    "Invitation",
    "RateLimitCounter",
    "RecoveryCode",
    "SecondFactor",
    "Setting",
    "SigningKey",
    "Subject",
    "Token",
    "TokenKeys",
    "User",
    "find_session",
    "find_token",
]
