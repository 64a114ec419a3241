"""What happens across accounts, people and tokens."""

from django.db import transaction

from accounts.models import Account, Token, User


@transaction.atomic
def create_account(*, slug, name, email, password=None):
    """An account with its first admin and a token for them: `(account, user, text of the token)`.

    Raises:
        ValidationError: what is wrong, by field.
    """
    account = Account(slug=slug, name=name, protected=True)
    account.validate_and_save()
    user = User.objects.create_user(email, password, account=account, role=User.Role.ADMIN)
    _, text = Token.generate(user)
    return account, user, text
